"""LangGraph's store, kept in Tenure: each item is a record, filed under its namespace.

    store = TenureStore(client, scope="agents.memories", categories=["contact"], subjects=["customer:42"])
    graph = builder.compile(store=store)

Namespaces, keys, values and embeddings are sealed to the people whom an item is about, and are gone when
these are erased. Every read and write is decided by policy and in the ledger, as any other. A delete hides an
item; its history stays, as of any record, until retention or an erasure takes it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from langgraph.store.base import (
    BaseStore,
    GetOp,
    IndexConfig,
    Item,
    ListNamespacesOp,
    Op,
    PutOp,
    Result,
    SearchItem,
    SearchOp,
    TTLConfig,
    ensure_embeddings,
    get_text_at_path,
    tokenize_path,
    validate_op_namespace,
)

from tenure.client import rounds
from tenure.client.items import key_metadata, key_of, record_key
from tenure.client.results import Record
from tenure.client.rounds import ABSENT, AnyClient, Rounds, Step, afinish, finish
from tenure.client.searching import fixed_beginning, likenesses, listed, matches, packed, ranked
from tenure.errors import Denied, Invalid, Stale

Namespace = tuple[str, ...]
Subjects = Sequence[str] | Callable[[Namespace, str, Mapping[str, Any]], Sequence[str]]
"""Whom items are about: the same people always, or as a function of namespace, key and value says."""

VALUE, EMBEDDING = "value", "embedding"
"""Members of a record's content. `embedding`: the path of each text → its vector (`searching.packed`)."""
TTL, CREATED, UPDATED = "ttl", "created_at", "updated_at"
"""Members of its metadata: the term in minutes; when it was put, where refreshing the term hides that."""
RENEWED_AT: Final = 0.1
"""A read renews an item's term when this part of it is over. Each time is a version: not at every read."""
_WHOLE: Final = "$"


class Found(NamedTuple):
    """An item, and the record that it is."""

    key: str
    record: Record


class TenureStore(BaseStore):
    """A store for one scope, over one client.

    With a `Client`, its methods block, and the awaited ones wait in a thread; with an `AsyncClient` there are
    only awaited ones. `purpose` is that of every access, if the client has none or another one. `index` is as
    for LangGraph's own stores; without it nothing is searched by meaning. `ttl` gives terms to items that are
    put without one, and says whether reads renew them.

    Errors are those of `tenure.errors`; namespaces that LangGraph forbids raise its `InvalidNamespaceError`.
    """

    supports_ttl = True

    def __init__(
        self,
        client: AnyClient,
        *,
        scope: str,
        categories: Sequence[str],
        subjects: Subjects = (),
        purpose: str | None = None,
        index: IndexConfig | None = None,
        ttl: TTLConfig | None = None,
    ) -> None:
        self.client = client if purpose is None else client.for_purpose(purpose)
        self.scope = scope
        self.categories = tuple(categories)
        self.subjects = subjects
        self.index_config = index
        self.ttl_config = ttl
        self.embeddings = None if index is None else ensure_embeddings(index.get("embed"))
        self._fields = [] if index is None else _tokenized(index.get("fields") or [_WHOLE])

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """Do several things. Reads see what was there before; of several puts of an item the last one counts.

        They are calls of their own: when one is refused, those before it are done.
        """
        return finish(self._work(list(ops)))

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """The same, awaited; calls that do not wait for each other are made at once."""
        return await afinish(self._work(list(ops)))

    # ── a batch ──────────────────────────────────────────────────────────────────────────────────
    def _work(self, ops: list[Op]) -> Rounds[list[Result]]:
        for op in ops:
            _check(op)
        results: list[Result] = [None] * len(ops)
        renewed: list[Found] = []
        gets = [(place, op) for place, op in enumerate(ops) if isinstance(op, GetOp)]
        got = yield [self._get(op) for _, op in gets]
        for (place, op), record in zip(gets, got, strict=True):
            found = None if record is None else _found(record)
            if found is not None:
                results[place] = _item(found)
                renewed += [found] if op.refresh_ttl else []
        vectors = yield from self._asked({op.query for op in ops if isinstance(op, SearchOp) and op.query})
        for place, op in enumerate(ops):
            if isinstance(op, SearchOp):
                shown = yield from self._search(op, vectors.get(op.query or ""))
                results[place] = [_scored(one, score) for one, score in shown]
                renewed += [one for one, _ in shown] if op.refresh_ttl else []
            elif isinstance(op, ListNamespacesOp):
                results[place] = yield from self._namespaces(op)
        puts = {(op.namespace, op.key): op for op in ops if isinstance(op, PutOp)}
        yield [self._renewal(one) for one in _due(renewed) if (one.record.path, one.key) not in puts]
        yield from self._put(list(puts.values()))
        return results

    # ── reading ──────────────────────────────────────────────────────────────────────────────────
    def _get(self, op: GetOp) -> Step:
        key = record_key(op.namespace, op.key)
        return rounds.call(self.client, "get", self.scope, key, excused=ABSENT)

    def _search(self, op: SearchOp, vector: list[float] | None) -> Rounds[list[tuple[Found, float | None]]]:
        """What is under the prefix and as the filter says; the most alike first if something is asked."""
        end = op.offset + op.limit
        whole = bool(op.filter) or vector is not None or min(op.offset, op.limit) < 0
        opened = yield from rounds.records(
            self.client,
            self.scope,
            op.namespace_prefix,
            content=True,
            enough=lambda so_far: not whole and len(_all_found(so_far)) >= end,
            limit=rounds.PAGE if whole else max(1, min(rounds.PAGE, end)),
        )
        found = [one for one in _all_found(opened) if _is_wanted(one, op.filter)]
        if vector is None:
            return [(one, None) for one in found[op.offset : end]]
        scores = likenesses(vector, [list(one.record.content.get(EMBEDDING, {}).values()) for one in found])
        return [(found[place], scores[place]) for place in ranked(scores)[op.offset : end]]

    def _namespaces(self, op: ListNamespacesOp) -> Rounds[list[Namespace]]:
        """Of all that there is under what they begin with; contents are not opened."""
        heads = yield from rounds.records(self.client, self.scope, fixed_beginning(op), content=False)
        return listed({one.path for one in heads if key_of(one) is not None}, op)

    def _asked(self, queries: set[str]) -> Rounds[dict[str, list[float]]]:
        """The vector of each query; none if nothing is searched by meaning."""
        model, texts = self.embeddings, sorted(queries)
        if model is None or not texts:
            return {}
        vectors = yield [_embedding(model.embed_query, model.aembed_query, text) for text in texts]
        return dict(zip(texts, vectors, strict=True))

    # ── writing ──────────────────────────────────────────────────────────────────────────────────
    def _put(self, ops: list[PutOp]) -> Rounds[None]:
        vectors = yield from self._embedded([op for op in ops if op.value is not None])
        yield [
            self._deletion(op)
            if op.value is None
            else self._write(op, op.value, vectors.get((op.namespace, op.key), {}))
            for op in ops
        ]

    def _write(self, op: PutOp, value: Mapping[str, Any], vectors: Mapping[str, str]) -> Step:
        content: dict[str, Any] = {VALUE: dict(value)}
        if vectors:
            content[EMBEDDING] = vectors
        metadata = key_metadata(op.key)
        if op.ttl is not None:
            metadata[TTL] = op.ttl
        about = self.subjects(op.namespace, op.key, value) if callable(self.subjects) else self.subjects
        return rounds.call(
            self.client,
            "put",
            self.scope,
            record_key(op.namespace, op.key),
            content,
            subjects=about,
            categories=self.categories,
            metadata=metadata,
            path=op.namespace,
            expires_at=None if op.ttl is None else _ends(op.ttl),
        )

    def _deletion(self, op: PutOp) -> Step:
        key = record_key(op.namespace, op.key)
        return rounds.call(self.client, "delete", self.scope, key, excused=ABSENT)

    def _renewal(self, found: Found) -> Step:
        """The same version once more, with a new term. Whoever may not write it leaves the term as it is."""
        record = found.record
        item = _item(found)
        times = {CREATED: item.created_at.isoformat(), UPDATED: item.updated_at.isoformat()}
        return rounds.call(
            self.client,
            "put",
            self.scope,
            record.key,
            record.content,
            subjects=record.subjects,
            categories=record.categories,
            derived_from=record.derived_from,
            metadata={**record.metadata, **times},
            path=record.path,
            expires_at=_ends(record.metadata[TTL]),
            if_match=record.version,
            excused=(Stale, Denied, *ABSENT),
        )

    def _embedded(self, ops: list[PutOp]) -> Rounds[dict[tuple[Namespace, str], dict[str, str]]]:
        """Of each item its texts' vectors, packed, by the texts' paths. Equal texts are embedded once."""
        model = self.embeddings
        if model is None:
            return {}
        texts = {(op.namespace, op.key): self._texts(op) for op in ops}
        different = list(dict.fromkeys(text for mine in texts.values() for text in mine.values()))
        if not different:
            return {}
        vectors = (yield [_embedding(model.embed_documents, model.aembed_documents, different)])[0]
        self._check(vectors, len(different))
        kept = dict(zip(different, map(packed, vectors), strict=True))
        return {item: {path: kept[text] for path, text in mine.items()} for item, mine in texts.items()}

    def _texts(self, op: PutOp) -> dict[str, str]:
        """Path → text of what is embedded of an item."""
        if op.index is False or op.value is None:
            return {}
        found: dict[str, str] = {}
        for path, tokens in self._fields if op.index is None else _tokenized(op.index):
            texts = get_text_at_path(op.value, tokens)
            numbered = len(texts) > 1
            found.update({f"{path}.{n}" if numbered else path: text for n, text in enumerate(texts)})
        return found

    def _check(self, vectors: Sequence[Sequence[float]], expected: int) -> None:
        dims = (self.index_config or {}).get("dims")
        if len(vectors) != expected or any(len(one) != (dims or len(one)) for one in vectors):
            raise Invalid(
                "The embedding function gave other vectors than it must; nothing was written.",
                field="index.embed",
                rule=f"one vector of {dims} numbers for each text",
                remedy="Give its number of dimensions in index.dims.",
            )


def _check(op: Op) -> None:
    """Refuse what no namespace is; a label with a dot would be two labels for other stores."""
    if not isinstance(op, GetOp | SearchOp | PutOp | ListNamespacesOp):
        raise Invalid(
            "The batch has something that is no operation of a store; nothing was done.",
            field="ops",
            rule="GetOp, PutOp, SearchOp or ListNamespacesOp",
            remedy="Use the operations of langgraph.store.base.",
        )
    validate_op_namespace(op)
    if isinstance(op, PutOp) and not op.namespace:
        raise Invalid(
            "The namespace is empty; nothing was done.",
            field="namespace",
            rule="1 to 16 labels of 1 to 256 characters",
            remedy="Name a namespace, such as ('users', '42').",
        )


# ── between records and items ──────────────────────────────────────────────────────────────────────
def _found(record: Record) -> Found | None:
    """The item that a record is; None if it is something else in the same scope."""
    key = key_of(record)
    if key is None or not isinstance(record.content, dict) or VALUE not in record.content:
        return None
    return Found(key, record)


def _all_found(opened: list[Record]) -> list[Found]:
    return [one for one in map(_found, opened) if one is not None]


def _is_wanted(found: Found, wanted: Mapping[str, Any] | None) -> bool:
    value = found.record.content[VALUE]
    return all(matches(value.get(name), other) for name, other in (wanted or {}).items())


def _times(record: Record) -> tuple[datetime, datetime]:
    """When the item was first put, and when last. A record's id begins with its first version's instant."""
    said = record.metadata
    updated = datetime.fromisoformat(said[UPDATED]) if UPDATED in said else record.created_at
    if CREATED in said:
        return datetime.fromisoformat(said[CREATED]), updated
    if record.version == 1:
        return updated, updated
    born = int(record.record.replace("-", "")[:12], 16)  # RFC 9562 §5.7
    return min(datetime.fromtimestamp(born / 1000, UTC), updated), updated


def _item(found: Found) -> Item:
    created, updated = _times(found.record)
    return Item(
        value=found.record.content[VALUE],
        key=found.key,
        namespace=found.record.path,
        created_at=created,
        updated_at=updated,
    )


def _scored(found: Found, score: float | None) -> SearchItem:
    created, updated = _times(found.record)
    value = found.record.content[VALUE]
    return SearchItem(found.record.path, found.key, value, created, updated, score)


# ── terms ──────────────────────────────────────────────────────────────────────────────────────────
def _now() -> datetime:
    return datetime.now(UTC)


def _ends(minutes: float) -> datetime:
    """When a term that begins now is over. Invalid for one that is none."""
    try:
        ends = _now() + timedelta(minutes=minutes)
    except (OverflowError, ValueError, TypeError):
        ends = None
    if ends is None or minutes <= 0:
        raise Invalid(
            "The term of the item is none; nothing was written.",
            field="ttl",
            rule="a number of minutes above 0, and an end before the year 10000",
            remedy="Leave it out for an item without a term; to be rid of one, delete it.",
        )
    return ends


def _due(found: list[Found]) -> list[Found]:
    """Those with a term of which enough is over to be renewed, each once."""
    now = _now()
    due: dict[str, Found] = {}
    for one in found:
        minutes, ends = one.record.metadata.get(TTL), one.record.expires_at
        if isinstance(minutes, int | float) and ends is not None:
            term = timedelta(minutes=minutes)
            if now - (ends - term) >= term * RENEWED_AT:
                due[one.record.record] = one
    return list(due.values())


# ── embeddings ─────────────────────────────────────────────────────────────────────────────────────
def _tokenized(fields: Sequence[str]) -> list[tuple[str, Any]]:
    return [(one, one if one == _WHOLE else tokenize_path(one)) for one in fields]


def _embedding(blocking: Callable[[Any], Any], awaited: Callable[[Any], Any], given: str | list[str]) -> Step:
    return Step(lambda: blocking(given), lambda: awaited(given))
