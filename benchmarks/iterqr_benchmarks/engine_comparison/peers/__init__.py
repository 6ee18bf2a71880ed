"""Workers that run other engines. They import nothing but their engine, numpy and each other: their environment is
not the project's.
"""
