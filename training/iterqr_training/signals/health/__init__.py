"""Whether collected signals are fit to learn from: counts by day, held against bounds, in words."""
