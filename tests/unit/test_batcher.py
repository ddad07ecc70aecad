"""What a batch that failed tells its callers."""

from unittest.mock import Mock

import pytest

from tenure import batcher
from tenure.errors import Unavailable


def test_a_log_that_cannot_be_written_keeps_no_answer_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """In process the log is the application's: where that fails, a lane must not die with it."""
    log = Mock()
    log.error.side_effect = BrokenPipeError
    monkeypatch.setattr(batcher, "_log", log)
    outcome = batcher._outcome(RuntimeError("customer:1 broke it"))
    assert log.error.called
    assert isinstance(outcome, Unavailable)
    assert "customer" not in str(outcome)
