"""Model store and torch-free builder: weights to an ONNX model and its tokenizer."""
