"""Populations: any range of any log verifies, and nothing can be dropped, added, moved or shortened."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.ids import rfc3339
from tenure.ledger import merkle
from tenure.ledger.base64 import to_base64
from tenure.ledger.canonical import canonical
from tenure.ledger.checkpoint import Checkpoint, sign_checkpoint
from tenure.ledger.entry import Access, Action, EntryDraft, Kind, parse_entry
from tenure.ledger.note import Signer
from tenure.ledger.population import Place, PopulationCheck, build_page, verify_population
from tenure.ledger.ranges import range_proof, root_of_range
from tenure.ledger.selection import Selection
from tenure.ledger.tree import subtree_reader
from unit.ledger.logs import AT, ORIGIN, SIGNER, WRITER, a_draft, an_id, entries, publish

KEYS = [SIGNER.verifier]
KINDS = (Kind.ACCESS, Kind.WRITE, Kind.SHRED, Kind.DELETE)


def mixed(count):
    """A log of four kinds, two principals, three purposes and actions; times go back now and then."""
    made = entries(1)
    for n in range(1, count):
        draft = a_draft(
            n,
            kind=KINDS[n % 4],
            at=AT + n - 5 * (n % 7 == 0),
            principal=an_id(n % 2),
            purpose=("support", "billing", "audit")[n % 3],
            accesses=[Access(an_id(n), 1, (Action.RETURNED, Action.WRITTEN, Action.DENIED)[n % 3])],
        )
        made.append(draft.encode(WRITER, n))
    return made


LOG = publish(mixed(300))
SHREDS = Selection(kind="shred")


def pages(log=LOG, selection=SHREDS, first=0, end=None, step=100, lists=None):
    end = len(log.entries) if end is None else end
    read = subtree_reader(log.read_tile)
    made, at = [], first
    while at < end:
        stop = min(end, at + step)
        following = None if stop == end else f"from {stop}"
        place = Place(at, stop, first, end)
        made.append(
            build_page(place, selection, log.checkpoint, log.entries[at:stop], lists or {}, read, following)
        )
        at = stop
    return made


def verified(lines, keys=KEYS):
    return verify_population(b"\n".join(lines) + b"\n", keys)


def checks(report):
    return [failure.check for failure in report.failures]


def changed(page, **members):
    return canonical({**json.loads(page), **members})


# ── range proofs ───────────────────────────────────────────────────────────────────────────────────
@given(st.integers(1, 70), st.data())
def test_every_range_of_every_tree_folds_into_its_root(size, data):
    leaves = [merkle.leaf_hash(b"%d" % n) for n in range(size)]
    first = data.draw(st.integers(0, size - 1))
    end = data.draw(st.integers(first + 1, size))

    def read(height, index):
        return merkle.root(leaves[index << height : (index + 1) << height])

    left, right = range_proof(first, end, size, read)
    part = leaves[first:end]
    assert root_of_range(first, part, size, left, right) == merkle.root(leaves)
    if end - first == 1:  # the inclusion proof of RFC 6962 has the same hashes
        assert sorted(left + right) == sorted(merkle.inclusion_proof(first, size, read))
    other = merkle.leaf_hash(b"another")
    at = data.draw(st.integers(0, len(part) - 1))
    wrong = [
        (first, [*part[:at], other, *part[at + 1 :]], left, right),
        (first, [*part[:at], *part[at + 1 :]], left, right),
        (first, [*part, other], left, right),
        (first + 1, part, left, right),
        (first, part, [*left, other], right),
        (first, part, left, [*right, other]),
    ]
    for start, some, before, behind in wrong:
        assert root_of_range(start, some, size, before, behind) != merkle.root(leaves)


@pytest.mark.parametrize(("first", "end"), [(0, 0), (3, 3), (4, 2), (0, 6), (5, 6), (-1, 2)])
def test_there_is_no_proof_of_nothing(first, end):
    with pytest.raises(Exception, match="No proof was made"):
        range_proof(first, end, 5, subtree_reader(publish(entries(5)).read_tile))


# ── what verifies ──────────────────────────────────────────────────────────────────────────────────
def test_a_whole_log_in_pages_is_complete():
    report = verified(pages())
    assert report.ok, report.failures
    assert [one.place for one in report.found] == [n for n in range(300) if n % 4 == 2]
    assert (report.first, report.end, report.checkpoint.size) == (0, 300, 300)
    assert not any("Entries 0" in text for text in report.not_checked)
    assert any("behind the 300 entries" in text for text in report.not_checked)


@given(st.data())
def test_any_range_and_any_filter_verifies_and_finds_what_a_plain_scan_finds(data):
    first = data.draw(st.integers(0, 299))
    end = data.draw(st.integers(first + 1, 300))
    instants = st.none() | st.integers(-5, 310).map(lambda n: rfc3339(AT + n))
    selection = Selection(
        kind=data.draw(st.sampled_from([None, "access", "shred", "purge"])),
        since=data.draw(instants),
        until=data.draw(instants),
        principal=data.draw(st.sampled_from([None, an_id(0), an_id(1), an_id(9)])),
        purpose=data.draw(st.sampled_from([None, "billing"])),
        action=data.draw(st.sampled_from([None, "denied", "written"])),
        rule=data.draw(st.sampled_from([None, "grant/support#1", "grant/other#1"])),
    )
    report = verified(pages(selection=selection, first=first, end=end, step=data.draw(st.integers(1, 300))))
    assert report.ok, report.failures
    expected = []
    for index in range(first, end):
        entry = parse_entry(LOG.entries[index])
        wanted = [
            entry.get(name) == value
            for name, value in selection.members().items()
            if name in ("kind", "principal", "purpose")
        ]
        wanted += [selection.since is None or entry["at"] >= selection.since]
        wanted += [selection.until is None or entry["at"] < selection.until]
        wanted += [selection.rule is None or selection.rule in entry.get("rules", [])]
        acts = {access["action"] for access in entry.get("accesses", [])}
        wanted += [selection.action is None or selection.action in acts]
        if all(wanted):
            expected.append(index)
    assert [one.place for one in report.found] == expected


def test_a_part_of_the_log_says_which_entries_and_times_it_does_not_cover():
    span = Selection(since=rfc3339(AT + 100), until=rfc3339(AT + 200))
    report = verified(pages(selection=span, first=90, end=250))
    assert report.ok
    said = " ".join(report.not_checked)
    assert "Entries 0 to 89" in said
    assert "Entries 250 to 299" in said
    assert "not strictly in that of their times" in said
    assert "in the midst" in said
    whole = " ".join(verified(pages(selection=span)).not_checked)
    assert "stand outside the range" not in whole
    assert f"before {span.until} and came into the log behind" in whole


def test_a_filter_on_actions_looks_into_separate_lists():
    draft = a_draft(1, accesses=[Access(an_id(n), 1, Action.LISTED) for n in range(70)])
    digest, listed = draft.separate_list()
    log = publish([entries(1)[0], draft.encode(WRITER, 1)])
    page = pages(log, Selection(action="listed"), lists={digest: listed})[0]
    report = verified([page])
    assert report.ok, report.failures
    assert [one.place for one in report.found] == [1]
    assert checks(verified([changed(page, lists={})])) == ["access-list"]
    other = listed.replace(b"listed", b"denied")
    assert checks(verified([changed(page, lists={digest: to_base64(other)})])) == ["access-list"]


# ── what is found ──────────────────────────────────────────────────────────────────────────────────
def test_each_lie_has_a_name_of_its_own():
    lines = pages()
    page = json.loads(lines[1])
    swapped = [page["entries"][1], page["entries"][0], *page["entries"][2:]]

    def with_page(**members):
        return checks(verified([lines[0], changed(lines[1], **members), lines[2]]))

    assert with_page(matches=page["matches"][1:]) == ["population-missed"]
    assert with_page(matches=sorted([*page["matches"], 101])) == ["population-added"]
    assert with_page(matches=[*page["matches"], 299]) == ["population-added"]
    assert with_page(entries=swapped) == ["population-entries"]
    assert with_page(left=page["left"][1:]) == ["population-entries"]
    assert with_page(filter={"kind": "purge"}) == ["population-filter"]
    assert with_page(entries=page["entries"][1:]) == ["population-range"]
    assert with_page(entries=page["entries"][1:], first=101) == ["population-range"]
    assert with_page(range={"first": 0, "end": 299}) == ["population-range"]
    assert with_page(matches=page["matches"][::-1]) == ["population-format"]
    assert with_page(note="more") == ["population-format"]
    assert with_page(next=None) == ["population-range"], "it says that it is the last page"
    more = changed(lines[2], next="more")
    assert checks(verified([*lines[:2], more])) == ["population-range"], "the last one promises more"
    assert checks(verified(lines[:2])) == ["population-range"], "the last page is missing"
    assert checks(verified([lines[0], lines[2]])) == ["population-range"], "a page in between is missing"
    assert checks(verified(lines[1:])) == ["population-range"], "the first page is missing"
    assert checks(verified([lines[0], lines[0], *lines[1:]])) == ["population-range"]
    assert checks(verified([])) == ["population-format"]


def test_pages_of_two_heads_do_not_make_one_population():
    grown = publish(mixed(310))
    mix = [pages(end=100)[0], *pages(grown, end=300)[1:]]
    mix[0] = changed(mix[0], range={"first": 0, "end": 300}, next="x")
    assert checks(verified(mix)) == ["population-head"]


def test_a_head_by_another_key_or_about_another_tree_fails():
    line = pages(step=300)[0]
    assert checks(verified([line], [Signer(ORIGIN, bytes(32)).verifier])) == ["unknown-key"]
    forged = sign_checkpoint(Checkpoint(ORIGIN, 300, bytes(32)), [SIGNER])
    assert checks(verified([changed(line, checkpoint=forged)])) == ["population-entries"]
    longer = sign_checkpoint(Checkpoint(ORIGIN, 301, LOG.tree.root()), [SIGNER])
    assert checks(verified([changed(line, checkpoint=longer)])) == ["population-entries"]
    shorter = sign_checkpoint(Checkpoint(ORIGIN, 299, LOG.tree.root()), [SIGNER])
    assert checks(verified([changed(line, checkpoint=shorter)])) == ["population-range"]


def test_what_was_asked_is_held_against_what_is_answered():
    line = pages(step=300)[0]
    for asked, whole, failure in (
        (Selection(kind="purge"), (None, None), "population-filter"),
        (Selection(), (None, None), "population-filter"),
        (Selection(kind="shred"), (0, 200), "population-range"),
        (Selection(kind="shred"), (1, None), "population-range"),
    ):
        check = PopulationCheck(KEYS, asked=asked, range_asked=whole)
        assert not check.see(line)
        assert checks(check.finish()) == [failure]
    check = PopulationCheck(KEYS, asked=Selection(kind="shred"), range_asked=(0, 300))
    assert check.see(line)
    assert check.finish().ok


def test_an_entry_that_was_left_out_of_the_log_itself_leaves_a_gap():
    raw = mixed(10)
    log = publish(raw[:4] + raw[5:])
    assert checks(verified(pages(log))) == ["writer-gap"]


def test_nothing_that_is_not_an_entry_passes():
    log = publish([*entries(3), b'{"kind":"shred"}'])
    page = json.loads(pages(log, end=3)[0])
    left, right = range_proof(0, 4, 4, subtree_reader(log.read_tile))
    page |= {"end": 4, "range": {"first": 0, "end": 4}, "right": [to_base64(one) for one in right]}
    page["entries"].append(to_base64(log.entries[3]))
    assert left == []
    assert checks(verified([canonical(page)])) == ["entry-schema"]


@given(st.data())
def test_any_single_change_is_found_or_leaves_a_true_statement(data):
    """Byte by byte. What still verifies says what a plain scan says, if of another filter."""
    raw = bytearray(SMALL)
    at = data.draw(st.integers(0, len(raw) - 1))
    how = data.draw(st.sampled_from(["flip", "drop", "insert"]))
    if how == "flip":
        raw[at] ^= 1 << data.draw(st.integers(0, 7))
    elif how == "drop":
        del raw[at]
    else:
        raw.insert(at, data.draw(st.integers(0, 255)))
    report = verify_population(bytes(raw), KEYS)
    if report.ok and bytes(raw) != SMALL:
        true = [
            index
            for index in range(report.first, report.end)
            if report.selection.takes(entry := parse_entry(LITTLE.entries[index]), entry.get("accesses", []))
        ]
        assert [one.place for one in report.found] == true
        assert report.checkpoint == Checkpoint(ORIGIN, 9, LITTLE.tree.root())


LITTLE = publish(mixed(9))
SMALL = b"\n".join(pages(LITTLE, step=4)) + b"\n"


def test_random_bytes_are_no_population():
    for raw in (b"", b"{}", b"[]", b"null", b"\xff", b'{"checkpoint":""}', hashlib.sha256(b"x").digest()):
        assert checks(verify_population(raw, KEYS)) == ["population-format"]


def test_an_empty_entry_draft_is_of_the_log_it_opens():
    """A log of one entry is a whole population, too."""
    one = publish([EntryDraft(Kind.LOG_OPEN, AT, "opened", data={"origin": ORIGIN}).encode(WRITER, 0)])
    report = verified(pages(one, Selection()))
    assert report.ok
    assert [found.place for found in report.found] == [0]
