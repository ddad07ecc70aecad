"""JSON pointers as in RFC 6901, and templates of them."""

import re
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from tenure.errors import Invalid
from tenure.imports.pointer import MISSING, at, steps_of
from tenure.imports.template import Template

RFC = {"foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, "m~n": 8, " ": 7}


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        ("", RFC),
        ("/foo", ["bar", "baz"]),
        ("/foo/0", "bar"),
        ("/", 0),
        ("/a~1b", 1),
        ("/c%d", 2),
        ("/ ", 7),
        ("/m~0n", 8),
        *((one, MISSING) for one in ("/foo/2", "/foo/-", "/foo/00", "/foo/0/0", "/none")),
    ],
)
def test_pointers_find_what_rfc_6901_says(pointer: str, value: Any) -> None:
    assert at(RFC, steps_of(pointer)) == value


@pytest.mark.parametrize("pointer", ["foo", "/~", "/~2", "/a~"])
def test_what_is_no_pointer_is_refused(pointer: str) -> None:
    with pytest.raises(ValueError, match=pointer):
        steps_of(pointer)


@given(st.lists(st.text(), max_size=5))
def test_any_names_can_be_pointed_at(names: list[str]) -> None:
    document: Any = "there"
    for name in reversed(names):
        document = {name: document}
    pointer = "".join("/" + name.replace("~", "~0").replace("/", "~1") for name in names)
    assert at(document, steps_of(pointer)) == "there"


def test_fields_of_objects_are_found_and_nothing_is_run() -> None:
    class Model(BaseModel):
        name: str = "a"

        @property
        def computed(self) -> str:
            raise AssertionError

    @dataclass
    class Plain:
        model: Model

    assert at({"one": [Plain(Model())]}, steps_of("/one/0/model/name")) == "a"
    for wrong in ("/one/0/model/computed", "/one/0/model/model_dump", "/one/0/__class__"):
        assert at({"one": [Plain(Model())]}, steps_of(wrong)) is MISSING


def test_templates_are_filled_with_texts_and_whole_numbers_only() -> None:
    template = Template.parse("a-{/b~1c}/{value}:{line}")
    assert template.filled({"b/c": 7}, {"value": "{x}", "line": "1"}, "key") == "a-7/{x}:1"
    for wrong in (None, True, 1.5, [], {}, ""):
        with pytest.raises(Invalid) as refused:
            template.filled({"b/c": wrong}, {"value": "v", "line": "1"}, "key")
        assert refused.value.field == "key"
    for text in ("{", "{}", "{x}", "}{", "{/a}}"):
        with pytest.raises(ValueError, match=re.escape(text)):
            Template.parse(text)
