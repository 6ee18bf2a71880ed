"""The gRPC edge: validation, error mapping, health, reflection, interceptors."""
