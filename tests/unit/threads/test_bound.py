"""How a thread is bound: whatever the order, and however often one is named, it is the same thread."""

import asyncio
from types import SimpleNamespace

import pytest

from tenure.model.thread import Bound, NewSnapshot, NewWrites
from tenure.threads.service import Threads


class Batcher:
    """Hands back what it is to perform."""

    async def submit(self, _tenant, operation):
        return operation


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (Bound(("contact",)), Bound(("contact",))),
        (Bound(("contact",), ("customer:b",)), Bound(("contact",), ("customer:b",))),
        (Bound(("travel", "contact", "travel")), Bound(("contact", "travel"))),
        (Bound(("contact", "contact"), ()), Bound(("contact",), ())),
        (
            Bound(("contact",), ("customer:b", "customer:a", "customer:b")),
            Bound(("contact",), ("customer:b", "customer:a")),
        ),
        (Bound(("contact",), ("customer:a", "customer:a")), Bound(("contact",), ("customer:a",))),
    ],
)
def test_labels_are_in_order_and_nobody_is_named_twice(given, kept):
    threads = Threads(Batcher(), lambda: None)
    ask = SimpleNamespace(credential=SimpleNamespace(tenant_id="t"))
    for verb, new in (("put", NewSnapshot("s", None, {})), ("put_writes", NewWrites("s", "task", ()))):
        operation = asyncio.run(getattr(threads, verb)(ask, "talks", "t", "", given, new))
        assert operation.bound == kept
        assert operation.new == new
