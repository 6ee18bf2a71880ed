"""Our engine beside others on the same prompts: each in a process of its own, only one computing at a time."""
