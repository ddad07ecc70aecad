"""Our logs pass a verifier that is not ours, and fail it when they should."""

import functools
import threading
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from foreign import goverifier
from tenure.ledger.checkpoint import Checkpoint, sign_checkpoint
from tenure.ledger.note import Signer
from tenure.ledger.tile import encode_bundle
from unit.ledger.logs import SIGNER, WRITER, a_draft, bundle_path, entries, publish

pytestmark = pytest.mark.go


@pytest.fixture(scope="module")
def binary(tmp_path_factory):
    return goverifier.build(tmp_path_factory.mktemp("go"))


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        """Say nothing."""


@contextmanager
def served(directory):
    handler = functools.partial(Quiet, directory=str(directory))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 512, 1000])
def test_a_folder_passes(binary, tmp_path, size):
    log = publish(entries(size), batches=[3, 250, 100])
    log.write(tmp_path)
    assert goverifier.run(binary, str(tmp_path), SIGNER.vkey) == (True, f"verified {size} entries\n")


def test_three_levels_pass(binary, tmp_path):
    publish([b"%d" % n for n in range(65_537)]).write(tmp_path)
    assert goverifier.run(binary, str(tmp_path), SIGNER.vkey)[0]


def test_the_same_log_on_loopback_passes(binary, tmp_path):
    publish(entries(300)).write(tmp_path)
    with served(tmp_path) as url:
        assert goverifier.run(binary, url, SIGNER.vkey)[0]
        (tmp_path / "tile/0/000").unlink()
        assert not goverifier.run(binary, url, SIGNER.vkey)[0]


def test_one_flipped_byte_in_an_entry_fails(binary, tmp_path):
    directory = publish(entries(300)).write(tmp_path)
    path = directory / bundle_path(300, 299)
    raw = bytearray(path.read_bytes())
    raw[-5] ^= 1
    path.write_bytes(raw)
    passed, said = goverifier.run(binary, str(directory), SIGNER.vkey)
    assert not passed
    assert "entry 299" in said


def test_a_truncated_tail_fails(binary, tmp_path):
    log = publish(entries(300))
    directory = log.write(tmp_path)
    (directory / bundle_path(300, 299)).write_bytes(encode_bundle(log.entries[256:299]))
    assert not goverifier.run(binary, str(directory), SIGNER.vkey)[0]
    (directory / bundle_path(300, 299)).unlink()
    assert not goverifier.run(binary, str(directory), SIGNER.vkey)[0]


def test_a_re_signed_fork_and_a_rollback_fail_against_an_earlier_checkpoint(binary, tmp_path):
    earlier = tmp_path / "earlier"
    earlier.write_text(publish(entries(280)).checkpoint)
    grown = publish(entries(300)).write(tmp_path / "grown")
    assert goverifier.run(binary, str(grown), SIGNER.vkey, [earlier])[0]
    forked = publish([*entries(100), a_draft(7).encode(WRITER, 100), *entries(300)[101:]])
    fork = forked.write(tmp_path / "fork")
    assert goverifier.run(binary, str(fork), SIGNER.vkey)[0]
    assert "fork" in goverifier.run(binary, str(fork), SIGNER.vkey, [earlier])[1]
    short = publish(entries(270)).write(tmp_path / "short")
    assert "rollback" in goverifier.run(binary, str(short), SIGNER.vkey, [earlier])[1]


def test_a_forged_head_and_another_key_fail(binary, tmp_path):
    log = publish(entries(5))
    directory = log.write(tmp_path)
    assert not goverifier.run(binary, str(directory), Signer(SIGNER.name, bytes(32)).vkey)[0]
    head = Checkpoint(SIGNER.name, 5, bytes(32))
    (directory / "checkpoint").write_text(sign_checkpoint(head, [SIGNER]))
    assert not goverifier.run(binary, str(directory), SIGNER.vkey)[0]
