"""Structured logs: one JSON object a line, on standard error. No query text unless the configuration says so."""

from __future__ import annotations

import logging
import sys

import structlog


def configure_logs(level: str) -> None:
    """Sets up the process's logs. `level` is one of debug, info, warning, error."""
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    # Libraries that log through the standard module; the OpenSearch client's messages quote request bodies.
    logging.basicConfig(level=max(number, logging.WARNING), stream=sys.stderr, format=_LIBRARY_FORMAT)
    logging.getLogger("opensearch").setLevel(logging.CRITICAL)


_LIBRARY_FORMAT = '{"level": "%(levelname)s", "logger": "%(name)s", "event": "library_log", "at": "%(asctime)s"}'
