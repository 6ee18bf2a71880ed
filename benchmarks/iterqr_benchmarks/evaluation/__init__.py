"""Measures of a search without and with the rewrite channel: pure functions over ranked ids."""
