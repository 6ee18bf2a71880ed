"""Training data: labelled examples of three tasks, and their splits."""
