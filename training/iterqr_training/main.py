"""`iterqr-train`: the command line of the learning side."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib import metadata

DESCRIPTION = """\
Learns from clicks and purchases: collects signals, attributes them to rewrites, post-trains, evaluates, gates and
publishes checkpoints.

This version has no commands yet. Serving, the OpenSearch plugin and the demo work without it."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point. Prints the help; exits with 2 on anything else."""
    parser = argparse.ArgumentParser(
        prog="iterqr-train",
        description=DESCRIPTION,
        epilog="example:\n  iterqr-train --version",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {metadata.version('iterqr-training')}")
    parser.parse_args(arguments)
    parser.print_help()
