"""Where a search found something, as it is kept for an officer."""

import json

from tenure.residue.texts import MOST_PLACES, TextScan
from tenure.residue.values import values_of


def test_places_are_named_once_and_bounded_without_a_value() -> None:
    search = TextScan(tuple(values_of(["customer:1", "ada@example.org"])))
    search.look("versions", {"record": "one"}, [b"customer:1 customer:1 ada@example.org"])
    search.look("versions", {"record": "two"}, [b"nothing"])
    assert search.places() == {"found": [{"record": "one", "count": 3}], "found_complete": True}
    for place in range(MOST_PLACES):
        search.look("versions", {"record": place}, [b"customer:1"])
    places = search.places()
    assert (len(places["found"]), places["found_complete"]) == (MOST_PLACES, False)
    assert "customer:1" not in json.dumps(places)
