"""Contracts shared by every part: rewrite format v1, checkpoint manifest."""
