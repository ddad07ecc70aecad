"""Arrays of texts, as PostgreSQL reads them (its documentation, "Arrays" §8.15.2)."""

import pytest

from tenure.store.pgtext import texts


@pytest.mark.parametrize(
    ("values", "array"),
    [
        ([], "{}"),
        ([""], '{""}'),
        (["a", "b,c", "{d}", "é"], '{"a","b,c","{d}","é"}'),
        ([None], "{NULL}"),
        (["a", None, "NULL"], '{"a",NULL,"NULL"}'),
        (["a", 'say "b"'], '{"a","say \\"b\\""}'),
        (["a", "b\\c"], '{"a","b\\\\c"}'),
        ([None, '\\"'], '{NULL,"\\\\\\""}'),
    ],
)
def test_texts_are_quoted_and_escaped(values: list[str | None], array: str) -> None:
    assert texts(values) == array.encode()
    assert texts(iter(values)) == array.encode()
