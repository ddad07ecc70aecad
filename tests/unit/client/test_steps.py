"""When a call is made again, and when not: without any network."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.client.steps import LONGEST_S, RETRIES, Answer, NotAnswered, NotSent, Pause, Send, answered
from tenure.errors import Conflict, Denied, NotYet, RateLimited, TenureError, Unavailable

OK = Answer(200, "application/json", b"{}")


def problem(kind, status, **members):
    body = {"type": f"urn:tenure:problem:{kind}", "detail": "No.", **members}
    return Answer(status, "application/problem+json", json.dumps(body).encode())


BUSY = problem("rate-limited", 429, retry_after=2, limit="requests")
AWAY = problem("unavailable", 503, retry_after=1)
BROKEN = problem("internal", 500)
GATEWAY = Answer(502, "text/html", b"<html>")
UNDER_WAY = problem("not-yet", 202, retry_after=1800)


def played(script, *, repeats, retries=RETRIES):
    """(how often it was sent, the pauses, the answer or the error) when these things happen in turn."""
    work = answered(Send("POST", "/x", repeats=repeats), retries)
    sent, pauses, step = 0, [], next(work)
    try:
        while True:
            if isinstance(step, Pause):
                pauses.append(step.seconds)
                step = work.send(None)
                continue
            happens, sent = script[min(sent, len(script) - 1)], sent + 1
            step = work.throw(happens) if isinstance(happens, Exception) else work.send(happens)
    except StopIteration as end:
        return sent, pauses, end.value
    except TenureError as failure:
        return sent, pauses, failure


@pytest.mark.parametrize("repeats", [True, False])
@pytest.mark.parametrize(
    ("happens", "always", "raised"),
    [
        (BUSY, True, RateLimited),
        (NotSent("ConnectError"), True, Unavailable),
        (NotAnswered("ReadTimeout"), False, Unavailable),
        (AWAY, False, Unavailable),
        (BROKEN, False, TenureError),
        (GATEWAY, False, Unavailable),
    ],
)
def test_what_may_pass_is_tried_again_where_that_does_no_harm(happens, always, raised, repeats):
    sent, pauses, found = played([happens, OK], repeats=repeats)
    if repeats or always:
        assert (sent, len(pauses), found) == (2, 1, OK)
    else:
        assert (sent, pauses, type(found)) == (1, [], raised)
    sent, pauses, found = played([happens], repeats=repeats)
    tried = RETRIES if repeats or always else 0
    assert (sent, len(pauses), type(found)) == (tried + 1, tried, raised), "and not for ever"


@pytest.mark.parametrize(
    ("happens", "raised"),
    [
        (problem("denied", 403, entry="e-1", rules=["grant:a"]), Denied),
        (problem("conflict", 409), Conflict),
        (UNDER_WAY, NotYet),
        (problem("rate-limited", 429, retry_after=int(LONGEST_S) + 1, limit="requests"), RateLimited),
    ],
)
def test_what_is_decided_is_told_at_once(happens, raised):
    sent, pauses, found = played([happens, OK], repeats=True)
    assert (sent, pauses, type(found)) == (1, [], raised)


def test_an_answer_that_was_lost_says_whether_it_may_have_been_done():
    assert "is not known" in str(played([NotAnswered("ReadError")], repeats=False)[2])
    assert "did not reach" in str(played([NotSent("ConnectError")], repeats=False, retries=0)[2])


@given(after=st.integers(0, int(LONGEST_S)), retries=st.integers(0, 6))
def test_nobody_comes_back_before_the_service_said(after, retries):
    busy = problem("rate-limited", 429, retry_after=after, limit="requests")
    sent, pauses, _ = played([busy], repeats=False, retries=retries)
    assert (sent, len(pauses)) == (retries + 1, retries)
    assert all(after <= one <= after + 10 for one in pauses)
