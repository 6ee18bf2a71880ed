"""How good rewrites are, offline: every system answers the same held-out queries, and all are measured alike."""
