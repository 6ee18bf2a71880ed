"""Time and memory of attribution by the number of impressions, on each engine, and whether they agree."""
