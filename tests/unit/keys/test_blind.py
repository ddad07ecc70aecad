"""Blind indexes: one thing, one index, under keys that can be destroyed."""

import keys_second as second
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenure.errors import Invalid
from tenure.keys.blind import (
    BUCKETS,
    FIRST_FREE,
    INDEX_LEAF,
    SELECTOR_LEAF,
    blind_index,
    bucket_leaf,
    bucket_of,
)

KEY = bytes(range(32))
namespaces = st.sampled_from(["subject", "record"])
parts = st.lists(st.binary(max_size=5), max_size=3)


@given(namespaces, parts)
def test_it_is_the_specifications(namespace, sequence):
    assert blind_index(KEY, namespace, *sequence) == second.index(KEY, namespace, *sequence)


@given(st.binary(max_size=20))
def test_the_bucket_is_the_specifications(reference):
    bucket = bucket_of(KEY, reference)
    assert bucket == second.bucket(KEY, reference)
    assert 0 <= bucket < BUCKETS


@given(namespaces, parts, namespaces, parts)
def test_different_things_have_different_indexes(one, first, two, then):
    same = (one, first) == (two, then)
    assert (blind_index(KEY, one, *first) == blind_index(KEY, two, *then)) == same


def test_another_key_gives_another_index():
    assert blind_index(KEY, "subject", b"ada") != blind_index(bytes(32), "subject", b"ada")


def test_all_buckets_are_used():
    assert {bucket_of(KEY, str(n).encode()) for n in range(60_000)} == set(range(BUCKETS))


def test_reserved_leaves_do_not_meet():
    leaves = [SELECTOR_LEAF, *map(bucket_leaf, range(BUCKETS)), INDEX_LEAF]
    assert leaves == list(range(FIRST_FREE))
    for bucket in (-1, BUCKETS):
        with pytest.raises(Invalid):
            bucket_leaf(bucket)


def test_an_unknown_namespace_is_refused():
    with pytest.raises(Invalid):
        blind_index(KEY, "person", b"ada")
