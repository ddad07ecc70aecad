"""Root keys in AWS KMS: crashes before and after every call, racers, slow and lying answers.

Against a KMS that keeps to the documented key states (`support.strictkms`); moto does not.
"""

import pytest

from support.strictkms import KilledError, StrictKms, store_on
from tenure.errors import Invalid, KeyFailure, RootLost, Tampered, TooLarge, Unavailable
from tenure.rootstore import kms_notes

MODES = ("imported", "generated")
MANY = 60
"""More calls than any one method makes."""


@pytest.fixture
def kms():
    return StrictKms()


def works(kms, version):
    """Whether KMS has a key of this version that could open something."""
    return any(
        key.state == "Enabled" and key.tags["tenure:version"] == str(version) for key in kms.keys.values()
    )


def states(store):
    return [(one.version, one.state) for one in store.list()]


def killed(kms, number, when, act):
    """Let the process die at one of the calls that `act` makes; whether it came to that."""
    kms.calls.clear()
    kms.kill_at = (number, when)
    try:
        act()
    except KilledError:
        return True
    kms.kill_at = None
    return False


# ── crashes ────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_creation_killed_at_any_call_is_finished_by_the_next(mode, when):
    for number in range(1, MANY):
        kms = StrictKms()
        store = store_on(kms, mode)
        first = store.create("first")
        sealed = store.seal(first, b"key", b"here")
        died = killed(kms, number, when, lambda store=store: store.create("second"))
        again = store_on(kms, mode)
        assert again.create("second") == 2
        assert again.unseal(2, again.seal(2, b"new", b"here"), b"here") == b"new"
        assert again.unseal(first, sealed, b"here") == b"key"
        assert states(again) == [(1, "live"), (2, "live")]
        if mode == "imported":
            enabled = [key for key in kms.keys.values() if key.state == "Enabled"]
            assert len(enabled) == 2, "a shell may be left, but nothing that could open or seal"
        if not died:
            assert number > 5
            return
    raise AssertionError("never got through")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("keeper", [True, False], ids=["another stays", "the only one"])
def test_a_destruction_killed_at_any_call_is_finished_by_the_next(mode, when, keeper):
    for number in range(1, MANY):
        kms = StrictKms()
        store = store_on(kms, mode)
        version = store.create("first")
        sealed = store.seal(version, b"key", b"here")
        if keeper:
            store.create("second")
        died = killed(kms, number, when, lambda store=store: store.destroy(1, "shred"))
        claimed = dict(states(store_on(kms, mode)))[version]
        assert not (works(kms, version) and claimed == "destroyed"), "claimed while the key works"
        done = store_on(kms, mode).destroy(version, "resumed")
        assert done.state == ("destroyed" if mode == "imported" else "pending")
        assert not works(kms, version)
        with pytest.raises(RootLost):
            store_on(kms, mode).unseal(version, sealed, b"here")
        assert store_on(kms, mode).destroy(version, "later") == done, "the same story"
        kms.pass_days(8)
        with pytest.raises(RootLost):
            store_on(kms, mode).unseal(version, sealed, b"here")
        if keeper:
            gone = store_on(kms, mode).destroy(version, "later")
            assert gone.state == "destroyed"
            assert gone.evidence["operation"] in ("shred", "resumed")
            assert states(store_on(kms, mode)) == [(1, "destroyed"), (2, "live")]
        assert [works(kms, number) for number in (1, 2)] == [False, keeper]
        if not died:
            assert number > 5
            return
    raise AssertionError("never got through")


# ── several at once ────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("same", [True, False], ids=["one operation", "two operations"])
def test_two_racers_at_any_moment_never_share_a_number(mode, same):
    for moment in range(1, MANY):
        kms = StrictKms()
        won = []
        calls = iter(range(1, MANY))

        def racer(_name, kms=kms, won=won, calls=calls, moment=moment):
            if next(calls) == moment:
                won.append(store_on(kms, mode).create("mine" if same else "theirs"))
            else:
                kms.between = racer

        kms.between = racer
        version = store_on(kms, mode).create("mine")
        kms.between = None
        store = store_on(kms, mode)
        if same:
            assert won in ([], [version])
            assert states(store) == [(1, "live")]
            working = [key for key in kms.keys.values() if key.state == "Enabled"]
            assert len(working) == 1, "of two keys for one operation only one stays"
        else:
            assert sorted([version, *won]) in ([1], [1, 2])
        assert store.unseal(version, store.seal(version, b"key", b"here"), b"here") == b"key"
        if not won:
            assert moment > 3
            return
    raise AssertionError("the racer always came")


def test_a_stale_import_does_not_bring_a_destroyed_version_back(kms):
    """A process that stood still between asking for import parameters and importing."""
    store = store_on(kms)
    store.create("first")
    version = store.create("second")
    sealed = store.seal(version, b"key", b"here")
    arn = next(key.arn for key in kms.keys.values() if key.tags["tenure:version"] == "2")
    given = kms.client().get_parameters_for_import(
        KeyId=arn, WrappingAlgorithm="RSAES_OAEP_SHA_256", WrappingKeySpec="RSA_4096"
    )
    store.destroy(version, "shred")
    from botocore.exceptions import ClientError

    with pytest.raises(ClientError):
        kms.client().import_key_material(
            KeyId=arn,
            ImportToken=given["ImportToken"],
            EncryptedKeyMaterial=b"x" * 256,
            ExpirationModel="KEY_MATERIAL_DOES_NOT_EXPIRE",
        )
    with pytest.raises(RootLost):
        store.unseal(version, sealed, b"here")


# ── what AWS forgets, we do not ────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("mode", MODES)
def test_numbers_are_never_used_again_whatever_aws_has_forgotten(mode, kms):
    store = store_on(kms, mode)
    assert [store.create(op) for op in "abc"] == [1, 2, 3]
    for version in (3, 2):
        store.destroy(version, "shred")
    kms.pass_days(30)
    assert store_on(kms, mode).create("d") == 4
    store_on(kms, mode).destroy(1, "shred")
    kms.pass_days(30)
    again = store_on(kms, mode)
    assert again.create("a") == 1, "an operation has its version, destroyed or not"
    assert [(n, state) for n, state in states(again) if state != "live"] == [
        (n, "destroyed") for n in (1, 2, 3)
    ]


@pytest.mark.parametrize("mode", MODES)
def test_many_rotations_stay_within_the_tags_of_a_key(mode, kms):
    store = store_on(kms, mode)
    store.create("op-0")
    for n in range(1, 50):
        assert store.create(f"op-{n}") == n + 1
        store.destroy(n, f"op-{n}")
        kms.pass_days(1)
    kms.pass_days(30)
    found = store_on(kms, mode).list()
    assert found[-1].version == 50
    assert [one.state for one in found] == ["destroyed"] * (len(found) - 1) + ["live"]
    assert len(found) > kms_notes.MAX_GONE


# ── the two modes ──────────────────────────────────────────────────────────────────────────────────
def test_imported_material_is_never_sent_in_the_clear_and_is_gone_at_once(kms):
    store = store_on(kms)
    version = store.create("a")
    (material,) = [key.material for key in kms.keys.values()]
    assert material
    import base64

    for body in kms.seen:
        assert material not in body
        assert base64.b64encode(material) not in body
    done = store.destroy(version, "shred")
    assert done.state == "destroyed"
    assert done.irrecoverable_at == done.unusable_at
    assert done.evidence["action"] == "DeleteImportedKeyMaterial"
    assert done.evidence["key"].startswith("arn:aws:kms:eu-central-1:")
    assert done.evidence["request"]
    assert [key.material for key in kms.keys.values()] == [None]


def test_it_does_not_say_destroyed_before_kms_does(kms):
    store = store_on(kms)
    version = store.create("a")
    kms._DeleteImportedKeyMaterial = lambda **_: {}  # accepted, and not done yet
    assert store.destroy(version, "shred").state == "pending"
    assert states(store) == [(1, "pending")]
    del kms._DeleteImportedKeyMaterial
    assert store.destroy(version, "shred").state == "destroyed"


def test_a_generated_key_is_pending_until_aws_no_longer_has_it(kms):
    store = store_on(kms, "generated", days=9)
    version = store.create("a")
    store.create("b")
    sealed = store.seal(version, b"key", b"here")
    done = store.destroy(version, "shred")
    assert done.state == "pending"
    assert done.irrecoverable_at - done.unusable_at == 9 * 86_400 * 1_000_000
    with pytest.raises(RootLost):
        store.unseal(version, sealed, b"here")
    kms.pass_days(8.9)
    assert store.destroy(version, "shred").state == "pending"
    kms.pass_days(0.2)
    assert store.destroy(version, "shred").state == "destroyed"


def test_a_cancelled_deletion_is_seen_and_begins_anew(kms):
    store = store_on(kms, "generated")
    version = store.create("a")
    store.create("b")
    done = store.destroy(version, "shred")
    (key,) = [key for key in kms.keys.values() if key.tags["tenure:version"] == "1"]
    kms.pass_days(6)
    kms.cancel_deletion(key.id)
    assert states(store)[0] == (1, "pending"), "destroyed would be a lie"
    again = store.destroy(version, "shred")
    assert again.state == "pending"
    assert again.unusable_at > done.unusable_at
    kms.pass_days(6)
    assert store.destroy(version, "shred").state == "pending"
    kms.pass_days(2)
    assert store.destroy(version, "shred").state == "destroyed"


def test_a_shell_that_an_administrator_scheduled_is_destroyed_when_it_is_gone(kms):
    store = store_on(kms)
    version = store.create("a")
    store.create("b")
    (key,) = [key for key in kms.keys.values() if key.tags["tenure:version"] == "1"]
    kms.client().schedule_key_deletion(KeyId=key.id, PendingWindowInDays=7)
    assert store.destroy(version, "shred").state == "pending"
    kms.pass_days(8)
    assert store_on(kms).destroy(version, "shred").state == "destroyed"


def test_a_new_key_that_is_not_shown_yet_is_waited_for():
    kms = StrictKms(slow=3)
    store = store_on(kms)
    assert store.unseal(1, store.seal(store.create("a"), b"key", b"here"), b"here") == b"key"


def test_a_number_that_lists_do_not_show_yet_is_not_taken_twice(kms):
    store = store_on(kms)
    store.create("a")
    kms.unlisted = set(kms.aliases)
    assert store_on(kms).create("b") == 2
    assert store_on(kms).create("a") == 1, "nor does an operation get a second version"
    kms.unlisted = set()
    assert states(store) == [(1, "live"), (2, "live")]


def test_two_cells_and_two_modes_do_not_see_each_other(kms):
    stores = [store_on(kms, mode, cell) for mode in MODES for cell in ("one", "one-b")]
    for store in stores:
        assert store.create("a") == 1
        assert states(store) == [(1, "live")]
    sealed = stores[0].seal(1, b"key", b"here")
    for other in stores[1:]:
        with pytest.raises(Tampered):
            other.unseal(1, sealed, b"here")


# ── errors ─────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("ThrottlingException", Unavailable),
        ("KMSInternalException", Unavailable),
        ("DisabledException", KeyFailure),
        ("AccessDeniedException", KeyFailure),
        ("LimitExceededException", KeyFailure),
        ("InvalidCiphertextException", Tampered),
        ("KMSInvalidStateException", RootLost),
        ("NotFoundException", RootLost),
    ],
)
def test_what_aws_says_becomes_what_we_say(kms, code, kind):
    store = store_on(kms)
    version = store.create("a")
    sealed = store.seal(version, b"key", b"here")
    kms.refuse["Decrypt"] = code
    with pytest.raises(kind) as refused:
        store.unseal(version, sealed, b"here")
    assert type(refused.value) is kind or kind is RootLost
    assert "111122223333" not in refused.value.detail, "AWS's messages name accounts"


def test_a_network_that_is_down_is_unavailable():
    import boto3
    from botocore.config import Config

    from tenure.rootstore.kms import KmsRootStore
    from tenure.rootstore.kms_calls import KmsCalls

    client = boto3.client(
        "kms",
        region_name="eu-central-1",
        endpoint_url="http://127.0.0.1:9",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}, connect_timeout=1),
    )
    with pytest.raises(Unavailable):
        KmsRootStore(KmsCalls(client), "test", "imported").create("a")


def test_wrong_use_is_refused_before_any_request(kms):
    store = store_on(kms)
    for op in ("", "with space", "x" * 61, "ümlaut"):
        with pytest.raises(Invalid):
            store.create(op)
        with pytest.raises(Invalid):
            store.destroy(1, op)
    with pytest.raises(TooLarge):
        store.seal(1, bytes(65), b"here")
    for sealed in (b"", bytes(7000)):
        with pytest.raises(Tampered):
            store.unseal(1, sealed, b"here")
    assert kms.calls == []


def test_an_unknown_version_cannot_be_destroyed(kms):
    with pytest.raises(RootLost):
        store_on(kms).destroy(3, "shred")


def test_a_note_survives_its_longest_form_within_a_tags_value():
    note = kms_notes.Gone("pending", "key", *[10**16] * 3, "k" * 36, "c" * 60, "d" * 60, "r" * 36)
    ((name, value),) = kms_notes.gone_tags({12: note}).items()
    assert len(value) <= 256
    assert kms_notes.read_gone({name: value, "owner": "someone", "tenure:gone:x": value}) == {12: note}
