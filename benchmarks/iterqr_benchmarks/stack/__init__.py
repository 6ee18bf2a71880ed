"""Node and rewrite server on this machine: prepared, started, filled with the demo's world, stopped."""
