"""The loop: serve, users search, learn from them, judge what was learned, let it serve; again."""
