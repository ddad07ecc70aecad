"""The service's own log: lines on standard error, from structlog and from libraries alike.

Logging never decides how a request ends: a standard error that is closed, or a pipe whose reader is gone,
loses the line and nothing else. What must not be lost is an entry of the ledger, not a line of the log.
"""

import contextlib
import logging
import sys
from typing import Any, TextIO, cast

import structlog


class _StandardError:
    """Standard error as it is when a line is written, not as it was when logging was set up."""

    def write(self, text: str) -> None:
        """Write, or lose the text where nobody reads."""
        with contextlib.suppress(OSError, ValueError):  # a pipe without a reader; a closed file
            sys.stderr.write(text)

    def flush(self) -> None:
        """The same for what is buffered."""
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()


STDERR = cast("TextIO", _StandardError())


def log_for_people(level: str) -> None:
    """A command's log: what is wrong at `level` or above, kept away from what the command prints."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(STDERR),
    )


def log_as_json(level: str) -> None:
    """A server's log: JSON lines.

    Exceptions appear by class only: messages of foreign errors hold the values they stumbled over.
    """
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _class_only,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(STDERR),
    )
    handler = logging.StreamHandler(STDERR)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    # Libraries speak up when something is wrong, not when it works.
    for name in ("apscheduler", "asyncio", "alembic", "sqlalchemy"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("_granian").setLevel(logging.ERROR)  # it warns that its embedded server is young


def _class_only(_logger: object, _method: str, event: Any) -> Any:  # noqa: ANN401 - structlog's event
    error = event.pop("exc_info", None)
    if error is True:  # "the one being handled"
        error = sys.exception()
    if isinstance(error, tuple):
        error = error[1]
    if isinstance(error, BaseException):
        event["error"] = type(error).__name__
    return event
