"""The one YAML spelling of manifests: read back unchanged by us and by another reader, and fit to be read."""

import json

import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tenure.model.documents import read_documents
from tenure.model.yaml_text import to_yaml

LEAF = st.one_of(st.none(), st.booleans(), st.integers(-(10**9), 10**9), st.text(max_size=12))
TREE = st.recursive(
    LEAF,
    lambda below: st.one_of(
        st.lists(LEAF, max_size=3),
        st.lists(st.dictionaries(st.text(max_size=5), below, max_size=3), max_size=3),
        st.dictionaries(st.text(max_size=5), below, max_size=3),
    ),
    max_leaves=12,
)
DOCUMENT = st.dictionaries(st.text(max_size=6), TREE, min_size=1, max_size=4)


def read(text):
    return [one.value for one in read_documents(text)]


@settings(max_examples=150, deadline=None)
@given(st.lists(DOCUMENT, min_size=1, max_size=3))
@example(
    [{"a": "😀", "no": "no", "1": "1.5", "<<": "*x", "b": "2026-01-01", "c": "", "d": " x", "e": "x: y"}]
)
@example([{"a": "x #y", "b": "a, b", "c": ["a, b", "[", "~", "**"], "d": "\u2028\x85\ufeff", "e": "a\nb\tc"}])
def test_is_read_back_unchanged(values):
    assert read(to_yaml(values)) == values


@settings(max_examples=80, deadline=None)
@given(st.dictionaries(st.text(max_size=6), st.text(max_size=12), min_size=1))
def test_another_reader_of_yaml_1_1_takes_the_same(value):
    assert yaml.safe_load(to_yaml([value])) == value


def test_looks_as_a_person_would_write_it():
    value = {
        "apiVersion": "tenure/v1",
        "metadata": {"name": "a.b"},
        "spec": {
            "description": "what customers said, and when",
            "categories": ["contact", "*"],
            "tree": {"personal": {"contact": {}}},
            "needs": [{"name": "x", "tokens": 3, "more": {"a": None}}, {"name": "z"}],
            "required": True,
        },
    }
    assert to_yaml([value, {"kind": "B"}]) == (
        "apiVersion: tenure/v1\n"
        "metadata:\n"
        "  name: a.b\n"
        "spec:\n"
        "  description: what customers said, and when\n"
        '  categories: [contact, "*"]\n'
        "  tree:\n"
        "    personal:\n"
        "      contact: {}\n"
        "  needs:\n"
        "  - name: x\n"
        "    tokens: 3\n"
        "    more:\n"
        "      a: null\n"
        "  - name: z\n"
        "  required: true\n"
        "---\n"
        "kind: B\n"
    )
    assert json.loads(json.dumps(read(to_yaml([value])))) == [value]
