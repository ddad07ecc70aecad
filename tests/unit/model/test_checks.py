"""What may be stored of JSON and of names: the quick look lets nothing by that the close one refuses."""

from collections import OrderedDict, defaultdict
from collections.abc import Callable
from enum import IntEnum, StrEnum
from typing import Any

import pytest

from tenure.errors import Invalid, TooLarge
from tenure.model.record import MAX_DEPTH, SAFE_INT, check_json, check_key, check_subject
from tenure.model.thread import (
    MAX_NAME,
    MAX_PIECES,
    Channel,
    NewSnapshot,
    NewWrites,
    Reuse,
    Write,
    check_name,
    check_snapshot,
    check_writes,
)


class Text(str):
    """Text of another type."""

    __slots__ = ()


class Colour(StrEnum):
    """Text, too."""

    RED = "red"


class Size(IntEnum):
    """An integer of another type."""

    ONE = 1
    HUGE = SAFE_INT + 1


def nested(levels: int, wrap: Callable[[Any], Any] = lambda inner: [inner]) -> Any:
    """A value of so many levels."""
    value: Any = 1
    for _ in range(levels - 1):
        value = wrap(value)
    return value


LOOP: list[Any] = []
LOOP += [LOOP, LOOP]


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        "",
        "\n\x00\x7f",
        "größer 😀 \x85\u200b\ue000",
        Text("größer"),
        Colour.RED,
        Size.ONE,
        SAFE_INT,
        -SAFE_INT,
        0.5,
        1e300,
        {"": [], "\x00ü": ({}, [[]])},
        {Text("name"): 1},
        defaultdict(dict, a={"b": 1}),
        OrderedDict(a=[1, "x", None, False]),
        nested(MAX_DEPTH),
        nested(MAX_DEPTH, lambda inner: {"a": inner}),
    ],
)
def test_json_passes(value: object) -> None:
    check_json(value, "state")


@pytest.mark.parametrize("around", [lambda one: one, lambda one: {"a": ["x", one, 1]}, lambda one: ([], one)])
@pytest.mark.parametrize(
    ("value", "rule"),
    [
        ("\ud800", "lone surrogates"),
        (Text("x\udfff"), "lone surrogates"),
        ({"\ud800": 1}, "lone surrogates"),
        ({1: 1}, "lone surrogates"),
        ({None: 1}, "lone surrogates"),
        ({"a": 1, b"b": 1}, "lone surrogates"),
        (SAFE_INT + 1, "RFC 8785"),
        (-SAFE_INT - 1, "RFC 8785"),
        (Size.HUGE, "RFC 8785"),
        (float("nan"), "RFC 8259"),
        (float("-inf"), "RFC 8259"),
        (b"bytes", "RFC 8259"),
        ({1, 2}, "RFC 8259"),
        (object(), "RFC 8259"),
    ],
)
def test_json_is_refused(value: object, rule: str, around: Callable[[object], object]) -> None:
    with pytest.raises(Invalid) as refused:
        check_json(around(value), "state")
    assert rule in (refused.value.rule or "")
    assert refused.value.field == "state"


@pytest.mark.parametrize(
    "value",
    [
        nested(MAX_DEPTH + 1),
        nested(MAX_DEPTH + 1, lambda inner: {"a": inner}),
        nested(MAX_DEPTH + 1, lambda inner: defaultdict(list, a=(inner,)) if inner == 1 else [inner]),
        LOOP,
    ],
)
def test_too_deep_is_refused_and_a_loop_soon(value: object) -> None:
    with pytest.raises(TooLarge):
        check_json(value, "state")


GOOD = ("a", "ü" * MAX_NAME, "a b", "\x80\x85\xa0\u200b\u2028\ue000😀", Colour.RED)
BAD = ("\n", "a\x00", "\x1f", "a\x7f", "\ud800", "a\u200b\udfff", "a" * (MAX_NAME + 1), None, 1, b"a")


def test_names_pass() -> None:
    for one in GOOD:
        check_name(one, "id")
    check_name("", "id", empty=True)


@pytest.mark.parametrize("name", [*BAD, ""])
def test_names_are_refused(name: Any) -> None:
    with pytest.raises(Invalid, match="A name") as refused:
        check_name(name, "thread")
    assert refused.value.field == "thread"


@pytest.mark.parametrize("text", ["\n", "a\x7f", "\ud800", "\xa0\udfff"])
def test_texts_are_refused(text: str) -> None:
    with pytest.raises(Invalid, match="The text"):
        check_key(text)
    with pytest.raises(Invalid, match="The text"):
        check_subject(f"customer:{text}")


def test_texts_pass() -> None:
    check_key("\x80\xa0\u200b\ue000😀 a")
    check_subject("customer:\u200b\ue000😀")


def _snapshot(**more: Any) -> NewSnapshot:
    given: dict[str, Any] = {"id": "b", "parent": "a", "channels": {}, "latest": ("a",), "run": "r", **more}
    return NewSnapshot(**given)


def _channel(*channel: Any) -> NewSnapshot:
    return _snapshot(channels={"ok": Channel(1), "talk": Channel(*channel)})


def test_snapshots_pass() -> None:
    for version in (0, -SAFE_INT, 1.5, "", "0001.5"):
        check_snapshot(_channel(version, "msgpack", (b"new", Reuse(version, 0, 1))))
    check_snapshot(_snapshot(channels={"": Channel(1, "", ())}, parent=None, latest=None, run=None))


@pytest.mark.parametrize("name", [one for one in BAD if one is not None])
def test_every_name_of_a_snapshot_is_looked_at(name: Any) -> None:
    for field in ("id", "parent", "run"):
        with pytest.raises(Invalid) as refused:
            check_snapshot(_snapshot(**{field: name}))
        assert refused.value.field == field
    with pytest.raises(Invalid, match="name"):
        check_snapshot(_snapshot(latest=("a", name)))
    with pytest.raises(Invalid, match="name"):
        check_snapshot(_snapshot(channels={"ok": Channel(1), name: Channel(1)}))
    with pytest.raises(Invalid, match="name") as refused:
        check_snapshot(_channel(1, name))
    assert refused.value.field == "channels.type"


@pytest.mark.parametrize("kind", [None, 0, b"", False, ()])
def test_an_empty_type_is_text(kind):
    with pytest.raises(Invalid) as refused:
        check_snapshot(_channel(1, kind))
    assert refused.value.field == "channels.type"
    assert (refused.value.rule or "").startswith(f"0 to {MAX_NAME}")


@pytest.mark.parametrize(
    "version", [True, SAFE_INT + 1, -SAFE_INT - 1, float("nan"), None, b"1", "\n", "\ud800"]
)
def test_versions_are_refused(version: Any) -> None:
    with pytest.raises(Invalid) as refused:
        check_snapshot(_channel(version))
    assert refused.value.field == "channels.version"


@pytest.mark.parametrize("pieces", [("text",), (b"a", None), (Reuse(1, True, 1),), (Reuse(1, 0, 1.0),)])
def test_pieces_are_refused(pieces: Any) -> None:
    with pytest.raises(Invalid) as refused:
        check_snapshot(_channel(1, "", pieces))
    assert refused.value.field == "channels.pieces"


def test_too_many_pieces_are_refused() -> None:
    check_snapshot(_channel(1, "", (b"a",) * MAX_PIECES))
    with pytest.raises(TooLarge):
        check_snapshot(_channel(1, "", (b"a",) * (MAX_PIECES + 1)))


def test_state_and_metadata_of_a_snapshot_are_looked_at() -> None:
    for field in ("state", "metadata"):
        with pytest.raises(Invalid):
            check_snapshot(_snapshot(**{field: {"a": object()}}))


@pytest.mark.parametrize(
    "wrong",
    [
        {"idx": True},
        {"idx": SAFE_INT + 1},
        {"channel": "\n"},
        {"channel": None},
        {"type": "\ud800"},
        {"value": "text"},
    ],
)
def test_writes_are_refused(wrong: dict[str, Any]) -> None:
    write = Write(0, "talk", "msgpack", b"")
    check_writes(NewWrites("a", "task", (write, write._replace(idx=-1, channel="", type=""))))
    with pytest.raises(Invalid):
        check_writes(NewWrites("a", "task", (write, write._replace(**wrong))))
