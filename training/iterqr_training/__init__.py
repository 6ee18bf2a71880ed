"""Learning from users: attribution, datasets, post-training, gates, export."""
