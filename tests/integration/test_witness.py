"""A witness as logs meet it: over HTTP, with what it keeps on disk, and killed at the worst moment."""

import hashlib
import signal
import socket
import stat
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from support.witness import process, serving
from tenure.errors import Conflict, Invalid, Malformed, Tampered
from tenure.ledger.checkpoint import open_checkpoint
from tenure.ledger.cosignature import cosigned_by, gather
from tenure.ledger.note import Verifier
from tenure.ledger.witness import Refused
from tenure.witness.place import Place
from tenure.witness.server import MAX_BODY
from unit.ledger.logs import ORIGIN, SIGNER
from unit.ledger.test_ledger_witness import FORK, A

HASH = hashlib.sha256(ORIGIN.encode()).hexdigest()


@pytest.fixture
def place(tmp_path):
    made = Place.create(tmp_path / "w", "witness.test/w")
    assert made.trust(SIGNER.vkey) == ORIGIN
    return made


@pytest.fixture
def url(place):
    with serving(place) as base:
        yield base


def post(url, raw, **more):
    return httpx.post(f"{url}/add-checkpoint", content=raw, trust_env=False, **more)


def test_a_log_grows_and_is_cosigned(place, url):
    witness = Verifier.parse(place.vkey)
    assert httpx.get(f"{url}/{HASH}/checkpoint", trust_env=False).status_code == 404
    for old, size in ((0, 5), (5, 5), (5, 20)):
        answer = post(url, A.body(old, size))
        assert answer.status_code == 200, answer.text
        cosigned = gather(A.note(size), answer.text, [witness])
        assert cosigned_by(cosigned, [witness]) == (witness,)
        shown = httpx.get(f"{url}/{HASH}/checkpoint", trust_env=False).text
        found = open_checkpoint(shown, [SIGNER.verifier, witness])
        assert found.checkpoint.size == size
        assert len(found.cosignatures) == 1


def test_every_refusal_over_http(place, url):
    assert post(url, A.body(0, 5)).status_code == 200
    behind = post(url, A.body(0, 9))
    assert (behind.status_code, behind.text) == (409, "5\n")
    assert behind.headers["content-type"] == "text/x.tlog.size"
    assert post(url, FORK.body(5, 9)).status_code == 422
    assert post(url, A.body(5, 9).replace(b"\n9\n", b"\n8\n")).status_code == 403
    assert post(url, A.body(5, 9).replace(ORIGIN.encode(), b"log.test/x")).status_code == 404
    assert post(url, b"nonsense").status_code == 400
    assert post(url, b"x" * (MAX_BODY + 1)).status_code == 413
    assert post(url, iter([A.body(5, 9)])).status_code == 411
    assert httpx.post(f"{url}/other", content=b"x", trust_env=False).status_code == 404
    for path in ("/", f"/{HASH}/vkeys", "/../key", f"/{HASH}/../../key"):
        assert httpx.get(f"{url}{path}", trust_env=False).status_code == 404
    assert httpx.put(url, trust_env=False).status_code == 501
    assert post(url, A.body(5, 9)).status_code == 200


def test_one_connection_serves_many_requests_and_a_silent_one_hinders_nobody(url):
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as silent, httpx.Client(trust_env=False) as client:
        silent.sendall(b"POST /add-checkpoint HTTP/1.1\r\nContent-Length: 100\r\n\r\nold")
        for old, size in ((0, 5), (5, 9), (0, 9), (9, 20)):
            answer = client.post(f"{url}/add-checkpoint", content=A.body(old, size))
            assert answer.status_code == (409 if (old, size) == (0, 9) else 200)


def test_of_two_pasts_at_once_one_is_cosigned(place):
    """Two instances, as two processes would have: only the lock file is between them."""
    other = Place(place._logs.parent)
    barrier = threading.Barrier(8)

    def attempt(n):
        past, one = ((A, place), (FORK, other))[n % 2]
        barrier.wait()
        try:
            one.add_checkpoint(past.body(0, 9))
        except Refused as refusal:
            return refusal.status
        return 200

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(attempt, range(8)))
    assert sorted(statuses) == [200] + [409] * 7


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_between_the_new_head_and_the_answer_it_cosigns_no_fork(place, when):
    directory = place._logs.parent
    place.add_checkpoint(A.body(0, 5))
    with process(directory, when) as (url, running):
        with pytest.raises(httpx.HTTPError):
            post(url, A.body(5, 9))
        assert running.wait(10) == -signal.SIGKILL
    with process(directory) as (url, _):
        if when == "after":
            # It may have been cosigned as far as the witness knows, so that past is the only one.
            assert post(url, FORK.body(5, 9)).status_code == 409
            assert post(url, FORK.body(9, 12)).status_code == 422
            assert post(url, FORK.body(9, 9)).status_code == 422
            assert post(url, A.body(9, 9)).status_code == 200
        else:
            assert post(url, FORK.body(5, 9)).status_code == 422
            assert post(url, A.body(5, 9)).status_code == 200


def test_a_failing_disk_cosigns_nothing(place, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    place.add_checkpoint(A.body(0, 5))
    with serving(place) as url:
        with monkeypatch.context() as broken:
            broken.setattr("tenure.durable.write", full)
            answer = post(url, A.body(5, 9))
            assert answer.status_code == 500
            assert "\N{EM DASH}" not in answer.text
        assert post(url, A.body(5, 9)).status_code == 200


def test_a_head_that_is_gone_or_changed_fails_closed(place):
    place.add_checkpoint(A.body(0, 5))
    head = place._logs / HASH / "checkpoint"
    good = head.read_text()
    for wrong in (FORK.note(5), A.note(5), good.replace("\n5\n", "\n4\n"), good[:-9] + "AAAAAAA=\n", "x"):
        head.write_text(wrong)
        with pytest.raises(Tampered):
            place.add_checkpoint(A.body(5, 9))
    head.unlink()
    with pytest.raises(Tampered):
        place.add_checkpoint(A.body(0, 9))
    place.trust(SIGNER.vkey)
    with pytest.raises(Tampered):
        place.add_checkpoint(A.body(0, 9))
    head.write_text(good)
    place.add_checkpoint(A.body(5, 9))


def test_the_key_is_its_owners_and_made_once(tmp_path):
    made = Place.create(tmp_path / "w", "witness.test/w")
    assert stat.S_IMODE((tmp_path / "w/key").stat().st_mode) == 0o600
    assert Place(tmp_path / "w").vkey == made.vkey
    with pytest.raises(Conflict):
        Place.create(tmp_path / "w", "witness.test/w")
    with pytest.raises(Malformed):
        Place.create(tmp_path / "v", "a b")
    with pytest.raises(Invalid, match="tenure witness init"):
        Place(tmp_path / "none")
    with pytest.raises(Malformed, match="not a log's"):
        made.trust(made.vkey)
    with pytest.raises(Malformed):
        made.trust("nonsense")
