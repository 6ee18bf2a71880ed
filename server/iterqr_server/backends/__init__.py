"""One file per vendor library that runs a model."""
