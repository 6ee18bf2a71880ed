"""A marketplace to learn from: a world of dishes, users with needs, and what they do with a search's results."""
