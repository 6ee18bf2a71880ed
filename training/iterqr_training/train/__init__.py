"""Post-training of a Qwen2.5 on three tasks at once: from a dataset's folder to a LoRA adapter or tuned weights."""
