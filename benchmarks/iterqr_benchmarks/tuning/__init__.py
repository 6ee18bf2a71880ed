"""Chooses fusion weights on the tuning queries: retrieve once, then fuse many ways without any search."""
