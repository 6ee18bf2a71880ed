"""From an adapter or tuned weights to a checkpoint that servers load: merge, build, manifest, publish."""
