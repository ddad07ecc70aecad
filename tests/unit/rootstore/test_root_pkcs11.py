"""Root keys in a token, on SoftHSM2: the key never leaves; once destroyed, nothing opens what it sealed."""

import json
import multiprocessing
import os
import threading
from collections import Counter
from concurrent.futures import ProcessPoolExecutor

import pkcs11
import pytest
from pkcs11 import Attribute, ObjectClass

from support.softhsm import PIN
from tenure.errors import Invalid, KeyFailure, RootLost, Tampered, TooLarge, Unavailable
from tenure.rootstore import pkcs11 as store_module
from tenure.rootstore.pkcs11 import Pkcs11RootStore, Token, label

pytestmark = pytest.mark.softhsm


@pytest.fixture
def root(softhsm):
    return softhsm.store()


@pytest.fixture
def token(softhsm):
    """The token as its own library shows it, past our code."""
    return pkcs11.lib(softhsm.module).get_token(token_label=softhsm.label)


def keys(token, cell):
    with token.open(user_pin=PIN) as session:
        return {
            one[Attribute.LABEL]: {
                name: one[name]
                for name in (
                    Attribute.SENSITIVE,
                    Attribute.EXTRACTABLE,
                    Attribute.NEVER_EXTRACTABLE,
                    Attribute.LOCAL,
                )
            }
            for one in list(session.get_objects({Attribute.CLASS: ObjectClass.SECRET_KEY}))
            if f"tenure-{cell}-" in one[Attribute.LABEL]
        }


# ── the key ────────────────────────────────────────────────────────────────────────────────────────
def test_the_key_is_made_on_the_token_and_cannot_leave_it(root, softhsm, token):
    root.create("a")
    assert keys(token, softhsm.cell) == {
        label(softhsm.cell, "root", 1): {
            Attribute.SENSITIVE: True,
            Attribute.EXTRACTABLE: False,
            Attribute.NEVER_EXTRACTABLE: True,
            Attribute.LOCAL: True,
        }
    }
    with token.open(user_pin=PIN) as session:
        (key,) = list(session.get_objects({Attribute.LABEL: label(softhsm.cell, "root", 1)}))
        with pytest.raises(pkcs11.AttributeSensitive):
            key[Attribute.VALUE]


def test_after_destruction_the_token_has_no_key_and_the_sealed_stays_sealed(root, softhsm, token):
    version = root.create("a")
    sealed = root.seal(version, b"key", b"here")
    assert softhsm.store().unseal(version, sealed, b"here") == b"key", "it did open before"
    done = root.destroy(version, "shred")
    assert done.state == "destroyed"
    assert done.evidence["token"] == softhsm.label
    assert done.evidence["serial"] == token.serial.decode()
    assert keys(token, softhsm.cell) == {}
    for other in (root, softhsm.store()):
        with pytest.raises(RootLost):
            other.unseal(version, sealed, b"here")
    # Nor does a key of the same name, made again, open it.
    with token.open(rw=True, user_pin=PIN) as session:
        for record in list(session.get_objects({Attribute.LABEL: label(softhsm.cell, "gone", version)})):
            record.destroy()
    assert root.create("a") == version
    with pytest.raises(Tampered):
        root.unseal(version, sealed, b"here")


def test_a_cells_keys_are_its_own(root, softhsm):
    other = softhsm.store(softhsm.cell + "-other")
    assert root.create("a") == other.create("a") == 1
    with pytest.raises(Tampered):
        other.unseal(1, root.seal(1, b"key", b"here"), b"here")
    root.destroy(1, "shred")
    assert [one.state for one in other.list()] == ["live"]


# ── crashes ────────────────────────────────────────────────────────────────────────────────────────
class Crash(BaseException):
    pass


def crash(*args, **kwargs):
    raise Crash


def test_a_crash_after_the_claim_leaves_nothing_in_the_way(root, softhsm, token, monkeypatch):
    root.create("first")
    real = store_module._objects
    looks = iter(range(9))

    def dies_at_the_second_look(session, cell):
        return crash() if next(looks) == 1 else real(session, cell)

    with monkeypatch.context() as patch:
        patch.setattr(store_module, "_objects", dies_at_the_second_look)
        with pytest.raises(Crash):
            root.create("a")
    assert label(softhsm.cell, "claim", 2) in keys(token, softhsm.cell)
    with pytest.raises(RootLost):
        root.seal(2, b"key", b"here")
    assert root.create("other") == 3, "the number is taken"
    version = root.create("a")
    assert root.unseal(version, root.seal(version, b"key", b"here"), b"here") == b"key"
    assert Counter(one.op_id for one in root.list()) == {"first": 1, "other": 1, "a": 1}


def test_a_claim_that_a_crash_left_is_destroyed_like_a_version(root, softhsm, token, monkeypatch):
    real = store_module._objects
    looks = iter(range(9))
    with monkeypatch.context() as patch:
        patch.setattr(store_module, "_objects", lambda s, c: crash() if next(looks) == 1 else real(s, c))
        with pytest.raises(Crash):
            root.create("a")
    assert [one.state for one in root.list()] == ["live"]
    assert root.destroy(1, "shred").state == "destroyed"
    assert keys(token, softhsm.cell) == {}


@pytest.mark.parametrize("write", [1, 2])
def test_a_destruction_cut_short_is_pending_and_useless_and_then_finished(root, monkeypatch, write):
    version = root.create("a")
    sealed = root.seal(version, b"key", b"here")
    real = Pkcs11RootStore._write
    writes = iter(range(1, 9))

    def dies(self, *args):
        """After the first record, or before the second: the key is there, or gone."""
        number = next(writes)
        if (write, number) == (2, 2):
            crash()
        real(self, *args)
        if (write, number) == (1, 1):
            crash()

    with monkeypatch.context() as patch:
        patch.setattr(Pkcs11RootStore, "_write", dies)
        with pytest.raises(Crash):
            root.destroy(version, "shred")
    assert [one.state for one in root.list()] == ["pending"], "destroyed would be a lie"
    with pytest.raises(RootLost):
        root.unseal(version, sealed, b"here")
    done = root.destroy(version, "resumed")
    assert (done.state, done.evidence["operation"]) == ("destroyed", "shred")
    assert [one.state for one in root.list()] == ["destroyed"]


def test_a_token_that_still_shows_the_key_is_not_believed(root, monkeypatch):
    version = root.create("a")
    real = store_module._objects

    def kept(session, cell):
        """Objects whose destruction does nothing."""
        return [one._replace(object=_Undying(one.object)) for one in real(session, cell)]

    with monkeypatch.context() as patch:
        patch.setattr(store_module, "_objects", kept)
        with pytest.raises(KeyFailure, match="after destroying"):
            root.destroy(version, "shred")
    assert [one.state for one in root.list()] == ["pending"]


class _Undying:
    def __init__(self, real):
        self._real = real

    def __getitem__(self, name):
        return self._real[name]

    def destroy(self):
        pass


# ── several at once ────────────────────────────────────────────────────────────────────────────────
def test_threads_never_share_a_number(softhsm):
    found, start = [], threading.Barrier(6)

    def create(number):
        store = softhsm.store()
        start.wait()
        found.append((store.create(f"op-{number % 3}"), number % 3))

    threads = [threading.Thread(target=create, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    assert sorted(version for version, _ in set(found)) == [1, 2, 3]


def _create_in_process(given):
    softhsm, name = given
    store = softhsm.store()
    return [store.create(f"{name}-{number}") for number in range(6)]


def test_processes_never_share_a_number(softhsm):
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        one, two = pool.map(_create_in_process, [(softhsm, "one"), (softhsm, "two")])
    assert len({*one, *two}) == 12
    live = softhsm.store().list()
    assert sorted(item.version for item in live) == sorted([*one, *two])
    assert one == sorted(one)


def test_two_keys_of_one_number_are_both_refused(root, softhsm, token):
    """Whoever copies objects on a token, or a token that shows racers' keys late: nothing is guessed."""
    version = root.create("a")
    sealed = root.seal(version, b"key", b"here")
    with token.open(rw=True, user_pin=PIN) as session:
        session.generate_key(
            pkcs11.KeyType.AES,
            256,
            id=bytes(8) + b"b",
            label=label(softhsm.cell, "root", version),
            store=True,
        )
    with pytest.raises(KeyFailure, match="two keys"):
        root.unseal(version, sealed, b"here")
    assert root.destroy(version, "shred").state == "destroyed"
    assert keys(token, softhsm.cell) == {}, "both"


# ── misuse ─────────────────────────────────────────────────────────────────────────────────────────
def test_wrong_use_is_refused(root):
    with pytest.raises(Invalid):
        root.create("")
    with pytest.raises(TooLarge):
        root.seal(root.create("a"), bytes(65), b"here")
    with pytest.raises(RootLost):
        root.destroy(9, "shred")


def test_records_stay_few(root, softhsm, monkeypatch):
    monkeypatch.setattr(store_module, "_REMEMBERED", 3)
    for n in range(6):
        root.create(f"op-{n}")
        root.destroy(n + 1, f"op-{n}")
    assert [one.version for one in root.list()] == [4, 5, 6]
    assert root.create("next") == 7


def test_the_pin_is_found_where_it_was_said_and_never_repeated(softhsm, tmp_path, monkeypatch):
    monkeypatch.setenv("TENURE_PKCS11_PIN", PIN)
    assert (
        Pkcs11RootStore(Token(softhsm.module, softhsm.label, tmp_path / "lock"), softhsm.cell).create("a")
        == 1
    )
    monkeypatch.setenv("TENURE_PKCS11_PIN", "canary-wrong")
    with pytest.raises(KeyFailure) as refused:
        Pkcs11RootStore(Token(softhsm.module, softhsm.label, tmp_path / "lock"), softhsm.cell).list()
    assert "PinIncorrect" in refused.value.detail
    assert "canary" not in repr(refused.value) + str(refused.value.remedy)
    assert refused.value.__cause__ is None
    monkeypatch.delenv("TENURE_PKCS11_PIN")
    for pin_file in (None, tmp_path / "missing"):
        with pytest.raises(Invalid, match="PIN is not given"):
            Pkcs11RootStore(
                Token(softhsm.module, softhsm.label, tmp_path / "lock", pin_file), softhsm.cell
            ).list()


def test_a_token_that_is_not_there_is_unavailable(softhsm):
    with pytest.raises(Unavailable, match="NoSuchToken"):
        Pkcs11RootStore(
            Token(softhsm.module, "nobody", softhsm.folder / "lock", softhsm.pin_file), "test"
        ).list()
    with pytest.raises(KeyFailure):
        Pkcs11RootStore(
            Token("/no/such/module.so", "nobody", softhsm.folder / "lock", softhsm.pin_file), "test"
        ).list()


def test_nothing_of_the_sealed_lies_on_the_token_in_the_clear(root, softhsm):
    secret = os.urandom(32)
    root.destroy(root.create("gone"), "shred")
    root.seal(root.create("a"), secret, b"here")
    for path in softhsm.folder.rglob("*"):
        if path.is_file():
            assert secret not in path.read_bytes()
    assert json.dumps([one.state for one in root.list()]) == '["destroyed", "live"]'
