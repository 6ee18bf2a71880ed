"""The use case: cache, single flight, hints, prompt, generation, guard, reply."""
