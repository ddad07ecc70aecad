"""Witnesses that misbehave: whatever they answer, the checkpoint comes back in time and whole."""

import threading
import time
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tenure import witnesses
from tenure.errors import Invalid
from tenure.ledger import tree
from tenure.ledger.cosignature import Cosigner
from tenure.ledger.note import note_body
from tenure.ledger.quorum import Quorum, Witness
from tenure.witnesses import Witnesses, read_quorum
from unit.ledger.test_ledger_witness import FORK, A

KEY = Cosigner("witness.test/w", bytes(32))
NOTE = A.note(9)


def prove(old, new):
    return tree.consistency(old, new, lambda *at: A.tiles[at])


@contextmanager
def answering(*answers, delay=0.0):
    """A server that gives these answers in turn, the last one for ever; yields (URL, bodies it was sent)."""
    left, got = list(answers), []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            got.append(self.rfile.read(int(self.headers["Content-Length"])))
            time.sleep(delay)
            status, body = left.pop(0) if len(left) > 1 else left[0]
            self.send_response(status)
            self.send_header("Content-Length", str(len(body.encode())))
            self.end_headers()
            with suppress(BrokenPipeError):
                self.wfile.write(body.encode())

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", got
        server.shutdown()
        thread.join()


@contextmanager
def asking(url):
    asked = Witnesses(Quorum(1, (Witness(url, KEY.verifier),)))
    yield asked
    asked.close()


GOOD = KEY.cosign(note_body(NOTE), 5)


def test_it_begins_at_the_size_that_the_witness_names_and_remembers_it():
    with answering((409, "5\n"), (200, GOOD)) as (url, got), asking(url) as asked:
        assert asked.cosign(NOTE, prove) == NOTE + GOOD
        assert got == [A.body(0, 9), A.body(5, 9)]
        asked.cosign(NOTE, prove)
        assert got[2] == A.body(9, 9)
        asked.cosign(NOTE + GOOD, prove)
        assert len(got) == 3


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ((200, ""), "refused"),
        ((200, "nonsense"), "refused"),
        ((200, KEY.cosign(note_body(FORK.note(9)), 5)), "refused"),
        ((200, Cosigner("witness.test/x", bytes(32)).cosign(note_body(NOTE), 5)), "refused"),
        ((403, ""), "refused"),
        ((404, ""), "refused"),
        ((422, ""), "refused"),
        ((302, ""), "refused"),
        ((409, "10\n"), "ahead"),
        ((409, "many\n"), "ahead"),
        ((409, "-1\n"), "ahead"),
        ((409, "5\n"), "refused"),
        ((500, ""), "down"),
        ((200, "x" * 100_000), "down"),
    ],
)
def test_whatever_comes_the_checkpoint_stays_as_it_was(answer, outcome):
    with answering(answer) as (url, got), asking(url) as asked:
        assert asked.cosign(NOTE, prove) == NOTE
        assert asked.counts == {(KEY.name, outcome): 1}
        sent = len(got)
        assert asked.cosign(NOTE, prove) == NOTE
        assert len(got) == sent  # it is left alone for a while


@pytest.mark.parametrize("text", [None, "{}", "quorum none"])
def test_a_wrong_file_names_the_setting(text, tmp_path):
    file = tmp_path / "witnesses.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(Invalid) as caught:
        read_quorum(str(file))
    assert caught.value.field.startswith("TENURE_WITNESSES")


def test_a_slow_one_is_not_waited_for_and_then_left_alone(monkeypatch):
    monkeypatch.setattr(witnesses, "WAIT_S", 0.2)
    with answering((200, GOOD), delay=1.0) as (url, got), asking(url) as asked:
        begun = time.monotonic()
        assert asked.cosign(NOTE, prove) == NOTE
        assert asked.cosign(NOTE, prove) == NOTE
        assert time.monotonic() - begun < 0.8
        assert len(got) == 1


def test_a_witness_that_was_never_reached_for_want_of_our_threads_is_not_to_blame(monkeypatch):
    monkeypatch.setattr(witnesses, "_AT_ONCE", 1)
    monkeypatch.setattr(witnesses, "WAIT_S", 0.05)
    free = threading.Event()
    with answering((200, KEY.cosign(note_body(NOTE), 5))) as (url, got), asking(url) as asked:
        asked._pool.submit(free.wait)
        assert asked.cosign(NOTE, prove) == NOTE
        assert not asked.counts
        free.set()
        monkeypatch.setattr(witnesses, "WAIT_S", 10.0)
        assert asked.cosign(NOTE, prove) != NOTE
        assert len(got) == 1
