"""Trains without one part at a time, by equal budgets, to measure what each part is worth."""
