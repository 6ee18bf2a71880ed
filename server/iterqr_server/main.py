"""`iterqr-server`: composition root and command line."""


def main() -> None:
    """Entry point."""
