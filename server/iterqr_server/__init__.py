"""Low-latency gRPC query rewrite server."""
