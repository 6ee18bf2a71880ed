"""Load on the running server over gRPC: how it answers at and beyond its capacity."""
