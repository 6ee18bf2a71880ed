"""A folder of collected signals: partitioned Parquet, and one state file that says which files count."""
