"""Experiments: does the channel help, and how sure is that? Everything is computed from sums by user."""
