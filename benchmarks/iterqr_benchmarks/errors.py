"""Errors of the benchmarks.

BenchmarkError
├── StackError            node or server could not be prepared, started or stopped
│   └── StackBusyError    another process is working on the same stack
├── DemoError             the stack runs but does not answer as the contract says
├── MarketplaceError      the marketplace cannot be simulated: a setting is out of its limits, or a run's folder is not
│                         of this run
└── WorldDataError        the demo world's data files are wrong (`catalog/model.py`)
"""


class BenchmarkError(Exception):
    """Base of all; its text is one message for a person."""


class StackError(BenchmarkError):
    """Node or server could not be prepared, started or stopped; the message names the log."""


class StackBusyError(StackError):
    """Another process is working on the same stack."""


class DemoError(BenchmarkError):
    """The stack runs but does not answer as the contract says."""


class MarketplaceError(BenchmarkError):
    """The marketplace cannot be simulated; the message names the setting and its limits, or the folder."""
