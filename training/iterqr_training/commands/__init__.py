"""One module a command of `iterqr-train`: its arguments, and the call of what does the work."""
