"""Demo catalog, demo, load tests and reports."""
