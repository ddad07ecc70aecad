"""Audits: an intact log passes, and each known way to tamper fails under its name."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenure.ledger.audit import MOST_SHOWN, audit
from tenure.ledger.checkpoint import Checkpoint, sign_checkpoint
from tenure.ledger.entry import Access, Action, EntryDraft, Kind
from tenure.ledger.note import COSIGNATURE, Signer, sign_note
from tenure.ledger.tile import ENTRIES, TileId, encode_bundle
from unit.ledger.logs import AT, ORIGIN, SIGNER, WRITER, a_draft, an_id, bundle_path, entries, publish

KEYS = [SIGNER.verifier]


def run(log, *earlier, keys=KEYS):
    return audit(log.files.get, keys, earlier=earlier)


def checks(log, *earlier, keys=KEYS):
    return sorted({failure.check for failure in run(log, *earlier, keys=keys).failures})


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 511, 512, 513])
def test_an_intact_log_passes(size):
    log = publish(entries(size), batches=[1, 7, 256])
    report = run(log)
    assert report.ok, report.failures
    assert (report.entries, report.checkpoint.size, report.writers) == (size, size, 1)
    assert sum(report.kinds.values()) == size
    assert report.signers == (ORIGIN,)


def test_a_log_with_three_levels_passes_and_says_how_far_it_is():
    log = publish(entries(65_537))
    steps = []
    report = audit(log.files.get, KEYS, progress=lambda done, size: steps.append((done, size)))
    assert report.ok, report.failures
    assert steps[-1] == (65_537, 65_537)


def test_an_empty_log_never_passes():
    assert checks(publish([])) == ["empty"]
    forged = publish([])
    forged.files["checkpoint"] = sign_checkpoint(Checkpoint(ORIGIN, 0, bytes(32)), [SIGNER]).encode()
    assert checks(forged) == ["empty", "root-mismatch"]
    assert [failure.check for failure in audit({}.get, KEYS).failures] == ["checkpoint-missing"]


@given(st.integers(0, 299), st.data())
@settings(max_examples=40, deadline=None)
def test_any_flip_in_an_entry_is_placed(index, data):
    raw = entries(300)
    log = publish(raw)
    changed = bytearray(raw[index])
    at = data.draw(st.integers(0, len(changed) - 1))
    changed[at] ^= 1 << data.draw(st.integers(0, 7))
    path = bundle_path(300, index)
    start = index // 256 * 256
    log.files[path] = encode_bundle(
        [*raw[start:index], bytes(changed), *raw[index + 1 : start + 256]][: 300 - start]
    )
    (failure,) = run(log).failures
    assert (failure.check, failure.index) == ("entry-flipped", index)


LOG = publish(entries(300))


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_any_flip_anywhere_fails(data):
    path = data.draw(st.sampled_from(sorted(LOG.files)))
    changed = bytearray(LOG.files[path])
    changed[data.draw(st.integers(0, len(changed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert not audit({**LOG.files, path: bytes(changed)}.get, KEYS).ok


@pytest.mark.parametrize("path", sorted(LOG.files))
def test_any_missing_file_fails(path):
    assert not audit({name: content for name, content in LOG.files.items() if name != path}.get, KEYS).ok


def without(log, *paths):
    for path in paths:
        del log.files[path]
    return log


def test_what_is_missing_is_named():
    assert checks(without(publish(entries(300)), "tile/0/000")) == ["tile-missing"]
    assert checks(without(publish(entries(300)), "tile/1/000.p/1")) == ["tile-missing"]
    assert checks(without(publish(entries(600)), "tile/entries/001")) == ["bundle-missing"]
    assert checks(without(publish(entries(600)), "tile/entries/002.p/88")) == ["truncated"]
    hole = without(publish(entries(600)), "tile/entries/001", "tile/0/001")
    assert checks(hole) == ["bundle-missing", "tile-missing"]
    assert any("upper tiles" in sentence for sentence in run(hole).not_checked)
    tail = without(publish(entries(600)), "tile/entries/002.p/88", "tile/0/002.p/88")
    assert checks(tail) == ["tile-missing", "truncated"]
    longer = without(tail, "tile/entries/001", "tile/0/001")
    assert checks(longer) == ["tile-missing", "truncated"]


def test_entries_cut_off_inside_a_bundle_are_a_truncation():
    log = publish(entries(300))
    path = bundle_path(300, 299)
    log.files[path] = encode_bundle(log.entries[256:299])
    assert checks(log) == ["truncated"]
    del log.files["tile/0/001.p/44"]
    assert checks(log) == ["tile-missing", "truncated"]


def test_bundles_that_cannot_be_taken_apart_or_hold_too_much():
    log = publish(entries(300))
    log.files["tile/entries/000"] += b"\0"
    assert checks(log) == ["bundle-format"]
    log = publish(entries(300))
    log.files[bundle_path(300, 299)] = encode_bundle([*log.entries[256:], b"more"])
    assert checks(log) == ["bundle-format"]


def test_full_tiles_stand_in_for_the_partial_ones_they_replaced():
    old, new = publish(entries(300)), publish(entries(512))
    # Published for the size of 300 and not yet full: a log keeps serving it.
    kept = ("checkpoint", "tile/1/000.p/1")
    new.files |= {path: old.files[path] for path in kept}
    assert run(new).ok


def test_a_rewritten_tile_is_not_blamed_on_the_entries():
    log = publish(entries(300))
    tile = bytearray(log.files["tile/0/000"])
    tile[32 * 9] ^= 1
    log.files["tile/0/000"] = bytes(tile)
    (failure,) = run(log).failures
    assert (failure.check, failure.index) == ("tile-mismatch", 9)
    log.files["tile/0/000"] = bytes(tile[:-32])
    assert checks(log) == ["tile-mismatch"]


def test_entries_and_tiles_rewritten_together_do_not_make_the_signed_root():
    log, other = publish(entries(300)), publish([*entries(299), a_draft(7).encode(WRITER, 299)])
    other.files["checkpoint"] = log.files["checkpoint"]
    assert checks(other) == ["root-mismatch"]


def test_a_signature_that_does_not_hold_and_a_key_that_is_not_trusted():
    log = publish(entries(3))
    log.files["checkpoint"] = log.files["checkpoint"].replace(b"\n3\n", b"\n4\n")
    assert "bad-signature" in checks(log)
    stranger = Signer(ORIGIN, bytes(32)).verifier
    assert checks(publish(entries(3)), keys=[stranger]) == ["unknown-key"]
    assert run(publish(entries(3)), keys=[stranger]).signers == ()
    log.files["checkpoint"] = b"nothing"
    assert checks(log) == ["note-format"]
    log.files["checkpoint"] = sign_note("nothing\n", [SIGNER]).encode()
    assert checks(log) == ["checkpoint-format"]


def test_a_forged_size_does_not_keep_the_auditor_busy():
    log = publish(entries(3))
    head = Checkpoint(ORIGIN, 2**62, bytes(32))
    log.files["checkpoint"] = sign_checkpoint(head, [SIGNER]).encode()
    assert checks(log) == ["tile-missing", "truncated"]


# ── against what was seen before ───────────────────────────────────────────────────────────────────
def test_a_log_that_grew_extends_its_earlier_checkpoints():
    log = publish(entries(600))
    sizes = (1, 255, 256, 257, 600)
    report = run(log, *(publish(entries(size)).checkpoint for size in sizes))
    assert report.ok, report.failures
    assert report.earlier == sizes
    assert not any("earlier" in sentence for sentence in report.not_checked)
    assert any("earlier" in sentence for sentence in run(log).not_checked)


@pytest.mark.parametrize("size", [299, 300, 301])
def test_a_re_signed_fork_and_a_rollback_are_found(size):
    before = publish(entries(300))
    forked = publish([*entries(100), a_draft(7).encode(WRITER, 100), *entries(size)[101:]])
    assert run(forked).ok
    assert checks(forked, before.checkpoint) == (["fork"] if size >= 300 else ["rollback"])
    shorter = publish(entries(299))
    assert checks(shorter, before.checkpoint) == ["rollback"]
    assert run(shorter, before.checkpoint).earlier == ()


def test_an_earlier_checkpoint_must_itself_be_the_logs():
    log = publish(entries(5))
    assert checks(log, "nothing") == ["note-format"]
    stranger = Signer(ORIGIN, bytes(32))
    assert checks(log, publish(entries(3), signer=stranger).checkpoint) == ["unknown-key"]
    other = Signer("tenure.test/log/other", bytes(32))
    theirs = publish(entries(3), signer=other).checkpoint
    assert checks(log, theirs, keys=[*KEYS, other.verifier]) == ["origin-mismatch"]
    assert run(log, publish([]).checkpoint).ok


def test_an_earlier_checkpoint_beyond_what_could_be_read_is_left_open():
    log = without(publish(entries(600)), "tile/entries/001", "tile/0/001")
    report = run(log, publish(entries(500)).checkpoint)
    assert any("500 entries" in sentence for sentence in report.not_checked)
    assert checks(log, publish(entries(200)).checkpoint) == ["bundle-missing", "tile-missing"]


# ── what entries say ───────────────────────────────────────────────────────────────────────────────
def numbered(*places):
    return [a_draft(i).encode(writer * 16, n) for i, (writer, n) in enumerate(places)]


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        ([("a", 0), ("b", 0), ("a", 1), ("b", 1)], []),
        ([("a", 1)], ["writer-gap"]),
        ([("a", 0), ("b", 0), ("a", 2)], ["writer-gap"]),
        ([("a", 0), ("a", 0)], ["writer-order"]),
        ([("a", 0), ("a", 2), ("a", 1)], ["writer-gap", "writer-order"]),
    ],
)
def test_writers_counters(places, expected):
    assert checks(publish(numbered(*places))) == expected


def test_a_late_number_does_not_turn_the_next_one_into_a_gap():
    report = run(publish(numbered(("a", 0), ("a", 2), ("a", 1), ("a", 3))))
    assert [(failure.check, failure.index) for failure in report.failures] == [
        ("writer-gap", 1),
        ("writer-order", 2),
    ]


def test_a_writer_that_ended_is_finished_and_writes_no_more():
    end = EntryDraft(Kind.WRITER_END, AT, "ended")
    log = publish([*entries(3), end.encode(WRITER, 3)])
    assert run(log).ok
    assert not any("without an end" in sentence for sentence in run(log).not_checked)
    assert any("1 writers without an end" in sentence for sentence in run(publish(entries(3))).not_checked)
    after = publish([*entries(3), end.encode(WRITER, 3), a_draft().encode(WRITER, 4)])
    assert checks(after) == ["writer-order"]


def test_entries_that_are_none_are_named_and_gaps_after_them_are_left_open():
    raw = entries(5)
    raw[2] = json.dumps(json.loads(raw[2])).encode()
    report = run(publish(raw))
    assert [(failure.check, failure.index) for failure in report.failures] == [("entry-not-canonical", 2)]
    assert any("counters" in sentence for sentence in report.not_checked)
    raw[3] = b"{}"
    assert checks(publish(raw)) == ["entry-not-canonical", "entry-schema"]


def test_many_failures_are_counted_not_listed():
    report = run(publish([*entries(2), *[b"{}"] * 100]))
    assert len(report.failures) == MOST_SHOWN + 1
    assert "80 more" in report.failures[-1].detail


def test_the_first_entry_names_the_log_and_what_was_lost():
    def opened(**data):
        return publish([EntryDraft(Kind.LOG_OPEN, AT, "opened", data=data).encode(WRITER, 0)])

    assert run(opened(origin=ORIGIN, generation=1)).notes == ()
    assert checks(opened(origin="tenure.test/log/other")) == ["origin-mismatch"]
    report = run(opened(origin=ORIGIN, generation=2, previous_origin="tenure.test/log/old", lost=4))
    assert report.ok
    assert "tenure.test/log/old" in report.notes[0]
    assert "4 entries" in report.notes[0]
    assert any("continues" in sentence for sentence in run(publish(numbered(("a", 0)))).not_checked)


def test_separate_lists_and_witnesses_are_reported():
    listed = a_draft(1, accesses=[Access(an_id(n), 1, Action.LISTED) for n in range(70)])
    log = publish([*entries(1), listed.encode(WRITER, 1)])
    assert any("1 separate access lists" in sentence for sentence in run(log).not_checked)
    witness = Signer("witness.test/w", bytes(32), COSIGNATURE)
    body = Checkpoint(ORIGIN, 2, log.tree.root()).body
    log.files["checkpoint"] += witness.signature_line(body, 5).encode()
    report = run(log, keys=[*KEYS, witness.verifier])
    assert report.witnesses == ("witness.test/w",)
    assert not any("witness" in sentence for sentence in report.not_checked)


def test_bundle_paths_of_the_helper():
    assert bundle_path(300, 299) == TileId(ENTRIES, 1, 44).path
