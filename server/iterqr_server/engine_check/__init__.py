"""`iterqr-server engine-check`: does the configured engine do what the server relies on, on this host."""
