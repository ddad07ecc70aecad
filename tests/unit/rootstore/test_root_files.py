"""Root keys as files: private, durable, destroyed at most once and never half."""

import multiprocessing
import stat
import threading
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from tenure import durable
from tenure.errors import Invalid, KeyFailure, RootLost, Tampered, TooLarge
from tenure.rootstore.files import FilesRootStore


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "roots"


@pytest.fixture
def root(directory):
    return FilesRootStore(directory)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def key_file(directory, version=1):
    return directory / f"root-{version:012d}.key"


def test_only_the_owner_can_read_it(root, directory):
    root.create("a")
    root.destroy(root.create("b"), "shred")
    assert mode(directory) == 0o700
    assert all(mode(path) == 0o600 for path in directory.glob("root-*"))


def test_an_open_directory_is_closed(directory):
    directory.mkdir(mode=0o755)
    directory.chmod(0o755)
    FilesRootStore(directory)
    assert mode(directory) == 0o700


def test_a_directory_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(KeyFailure, match="cannot be made private"):
        FilesRootStore(tmp_path / "file" / "roots")


def test_it_survives_a_restart(root, directory):
    version = root.create("a")
    sealed = root.seal(version, b"key", b"here")
    again = FilesRootStore(directory)
    assert again.unseal(version, sealed, b"here") == b"key"
    assert again.create("a") == version
    assert again.list() == root.list()


def test_destruction_survives_a_restart_and_leaves_no_key(root, directory):
    version = root.create("a")
    key = key_file(directory).read_bytes()[-32:]
    done = root.destroy(version, "shred")
    assert FilesRootStore(directory).destroy(version, "shred") == done
    assert FilesRootStore(directory).list()[0].state == "destroyed"
    for path in directory.rglob("*"):
        content = path.read_bytes()
        assert key not in content
        assert key.hex().encode() not in content


def test_more_than_a_key_is_not_sealed(root):
    version = root.create("a")
    assert root.seal(version, bytes(64), b"here")
    with pytest.raises(TooLarge):
        root.seal(version, bytes(65), b"here")


def test_an_operation_needs_an_id(root):
    with pytest.raises(Invalid):
        root.create("")


def test_an_unknown_version_cannot_be_destroyed(root):
    with pytest.raises(RootLost):
        root.destroy(3, "shred")
    assert root.list() == []


def test_threads_with_one_operation_get_one_version(directory):
    root, found = FilesRootStore(directory), []
    start = threading.Barrier(8)

    def create(number):
        start.wait()
        found.append(root.create(f"op-{number % 2}"))

    threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [1] * 4 + [2] * 4
    assert len(root.list()) == 2


def create_in_process(directory):
    return [FilesRootStore(directory).create(f"op-{number}") for number in range(20)]


def test_processes_with_one_operation_get_one_version(directory):
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        one, two = pool.map(create_in_process, [directory] * 2)
    assert one == two
    assert len(FilesRootStore(directory).list()) == 20


# ── crashes ──────────────────────────────────────────────────────────────────────────────────────
class Crash(BaseException):
    pass


def crash(*args, **kwargs):
    raise Crash


def test_a_crash_while_creating_leaves_no_version_and_no_key(root, directory, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", crash)
        patch.setattr(Path, "unlink", crash)  # who is killed cleans nothing up
        with pytest.raises(Crash):
            root.create("a")
    assert list(directory.glob(".new-*"))
    assert root.list() == []
    assert root.create("a") == 1
    assert not list(directory.glob(".new-*")), "the half-written key of the crash is gone"


def test_a_crash_after_the_rename_leaves_the_version_of_that_operation(root, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(durable, "sync", crash)
        with pytest.raises(Crash):
            root.create("a")
    assert root.create("a") == 1
    assert len(root.list()) == 1


def test_a_crash_before_the_unlink_leaves_the_version_pending_and_useless(root, directory, monkeypatch):
    version = root.create("a")
    sealed = root.seal(version, b"key", b"here")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", crash)
        with pytest.raises(Crash):
            root.destroy(version, "shred")
    again = FilesRootStore(directory)
    assert again.list()[0].state == "pending", "the file is there: destroyed would be a lie"
    with pytest.raises(RootLost):
        again.unseal(version, sealed, b"here")
    assert again.destroy(version, "shred").state == "destroyed"
    assert not key_file(directory).exists()
    assert again.list()[0].state == "destroyed"


def test_a_crash_after_the_unlink_is_finished_by_the_next_call(root, directory, monkeypatch):
    version = root.create("a")
    with monkeypatch.context() as patch:
        patch.setattr(durable, "sync", lambda _: key_file(directory).exists() or crash())
        with pytest.raises(Crash):
            root.destroy(version, "shred")
    assert not key_file(directory).exists()
    assert root.list()[0].state == "pending"
    assert root.destroy(version, "resumed").evidence["operation"] == "shred"
    assert root.list()[0].state == "destroyed"


def test_a_failed_write_is_said_and_changes_nothing(root, monkeypatch):
    def full(*args, **kwargs):
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(durable.os, "fsync", full)
        with pytest.raises(KeyFailure, match="cannot be written"):
            root.create("a")
    assert root.list() == []


def test_a_file_that_cannot_be_read_is_said(root, directory):
    key_file(directory).mkdir()
    with pytest.raises(KeyFailure):
        root.unseal(1, bytes(60), b"here")


# ── restored and damaged directories ─────────────────────────────────────────────────────────────
def test_a_key_file_put_back_after_its_destruction_serves_nobody(root, directory):
    version = root.create("a")
    sealed = root.seal(version, b"key", b"here")
    kept = key_file(directory).read_bytes()
    done = root.destroy(version, "shred")
    key_file(directory).write_bytes(kept)
    with pytest.raises(RootLost):
        root.unseal(version, sealed, b"here")
    assert root.list()[0].state == "pending"
    again = root.destroy(version, "shred")
    assert not key_file(directory).exists()
    assert again.irrecoverable_at > done.irrecoverable_at


def test_a_damaged_key_file_is_named_as_such(root, directory):
    root.create("a")
    whole = key_file(directory).read_bytes()
    for damaged in (b"", whole[:40], whole[:-1], whole + b"\x00", b"X" + whole[1:]):
        key_file(directory).write_bytes(damaged)
        with pytest.raises(Tampered, match="damaged"):
            root.seal(1, b"key", b"here")


def test_a_key_file_under_another_versions_name_is_refused(root, directory):
    root.create("a")
    root.create("b")
    key_file(directory, 2).write_bytes(key_file(directory, 1).read_bytes())
    with pytest.raises(Tampered):
        root.seal(2, b"key", b"here")


def test_a_damaged_record_is_named_as_such(root, directory):
    root.destroy(root.create("a"), "shred")
    (directory / "root-000000000001.destroyed").write_bytes(b"{")
    with pytest.raises(Tampered, match="damaged"):
        root.list()


def test_other_files_in_the_directory_are_left_alone(root, directory):
    (directory / "mirror").mkdir()
    (directory / "notes.txt").write_text("mine")
    root.destroy(root.create("a"), "shred")
    assert (directory / "notes.txt").read_text() == "mine"
    assert len(root.list()) == 1


def test_the_guarantee_claims_no_more_than_an_unlink_keeps(root):
    assert root.capabilities().provider == "files"
    for words in ("Best effort", "SSD", "copy-on-write", "backups"):
        assert words in root.capabilities().guarantee
