"""What is being served: checkpoints and their traffic."""
