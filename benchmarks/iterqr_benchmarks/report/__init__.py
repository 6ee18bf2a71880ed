"""The demo's report: one document, written as JSON for programs and as a self-contained page for people."""
