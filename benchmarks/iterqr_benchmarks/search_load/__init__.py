"""Load on a node with the plugin: what searches cost with each way of rewriting, beside plain ones."""
