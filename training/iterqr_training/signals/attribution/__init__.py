"""Which rewrite earned which click and order: Ibis expressions, the same on DuckDB and on Spark.

Every step is a pure function from tables to a table. All that is added up is an integer, so that neither the order of
rows nor the engine can change a result.
"""
