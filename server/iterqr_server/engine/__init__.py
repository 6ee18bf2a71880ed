"""Request-level generation: interface, scheduling, KV cache, sampling."""
