"""A log that cannot be written loses its line, and nothing else."""

import io
import logging
import sys
from collections.abc import Callable, Iterator

import pytest
import structlog

from tenure.logs import log_as_json, log_for_people

CANARY = "canary-1f07"


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


@pytest.mark.parametrize("configure", [log_for_people, log_as_json])
def test_a_closed_standard_error_does_not_stop_what_logs(
    configure: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    then, now = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", then)
    configure("warning")
    log = structlog.get_logger("test")
    log.error("first")
    then_said = then.getvalue()
    then.close()

    log.error("lost")
    monkeypatch.setattr(sys, "stderr", now)
    log.error("last")

    assert "first" in then_said
    assert "last" in now.getvalue()
    assert "lost" not in now.getvalue()


class Readerless(io.StringIO):
    """What standard error is once the process that collected it died."""

    def write(self, _text: str) -> int:
        raise BrokenPipeError


def test_a_pipe_without_a_reader_does_not_stop_what_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Readerless())
    log_as_json("warning")

    structlog.get_logger("test").error("lost")
    logging.getLogger("library").error("lost")


def test_an_exception_is_logged_by_class_only(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stderr", out)
    log_as_json("info")

    try:
        raise KeyError(CANARY)  # noqa: TRY301 - what a library would do
    except KeyError:
        structlog.get_logger("test").exception("ours")
        logging.getLogger("library").exception("theirs")

    assert out.getvalue().count('"error": "KeyError"') == 2
    assert CANARY not in out.getvalue()
