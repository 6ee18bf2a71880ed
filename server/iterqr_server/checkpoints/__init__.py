"""Several checkpoints in one server: which are loaded, which take traffic, and when the canary is taken back."""
