"""Searching among what was opened: filters on values, patterns of namespaces, vectors by likeness.

Pure. The rules are those of LangGraph's stores.
"""

import base64
import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any, Final

from langgraph.store.base import ListNamespacesOp, MatchCondition

from tenure.errors import Invalid

_ANY: Final = "*"
_FLOAT: Final = 4

# ── values ─────────────────────────────────────────────────────────────────────────────────────────


def matches(value: Any, wanted: Any) -> bool:  # noqa: ANN401 - any JSON
    """Whether a value is as a filter says: equal, or as operators (`$gt` and so on) say; members each."""
    if isinstance(wanted, Mapping):
        if any(str(name).startswith("$") for name in wanted):
            return all(_holds(value, operator, other) for operator, other in wanted.items())
        return isinstance(value, Mapping) and all(
            matches(value.get(name), other) for name, other in wanted.items()
        )
    if isinstance(wanted, list | tuple):
        return (
            isinstance(value, list | tuple)
            and len(value) == len(wanted)
            and all(matches(one, other) for one, other in zip(value, wanted, strict=True))
        )
    return bool(value == wanted)


def _holds(value: Any, operator: str, other: Any) -> bool:  # noqa: ANN401 - any JSON
    """One comparison. What is no number is neither more nor less than anything."""
    if operator in ("$eq", "$ne"):
        return bool(value == other) == (operator == "$eq")
    if operator not in ("$gt", "$gte", "$lt", "$lte"):
        raise Invalid(
            "The filter has an operator that there is not; nothing was read.",
            field="filter",
            rule="$eq, $ne, $gt, $gte, $lt or $lte",
            remedy="Use one of these, or compare the values afterwards.",
        )
    try:
        left, right = float(value), float(other)
    except (TypeError, ValueError):
        return False
    if operator.startswith("$g"):
        return left > right or (operator == "$gte" and left == right)
    return left < right or (operator == "$lte" and left == right)


# ── namespaces ─────────────────────────────────────────────────────────────────────────────────────
def fixed_beginning(op: ListNamespacesOp) -> tuple[str, ...]:
    """What every namespace that is asked for begins with: as much of it as no wildcard leaves open."""
    longest: tuple[str, ...] = ()
    for condition in op.match_conditions or ():
        if condition.match_type == "prefix":
            path = tuple(condition.path)
            fixed = path[: path.index(_ANY)] if _ANY in path else path
            longest = max(longest, fixed, key=len)
    return longest


def listed(namespaces: set[tuple[str, ...]], op: ListNamespacesOp) -> list[tuple[str, ...]]:
    """Those that match, cut to `max_depth`, in order; of these a page."""
    found = {
        one[: op.max_depth]
        for one in namespaces
        if all(_fits(one, condition) for condition in op.match_conditions or ())
    }
    return sorted(found)[op.offset : op.offset + op.limit]


def _fits(namespace: tuple[str, ...], condition: MatchCondition) -> bool:
    path = tuple(condition.path)
    if condition.match_type not in ("prefix", "suffix"):
        raise Invalid(
            "Namespaces are not matched in this way; nothing was read.",
            field="match_type",
            rule="prefix or suffix",
            remedy="Use one of the two.",
        )
    if len(namespace) < len(path):
        return False
    part = (
        namespace[: len(path)]
        if condition.match_type == "prefix"
        else namespace[len(namespace) - len(path) :]
    )
    return all(other in (_ANY, one) for one, other in zip(part, path, strict=True))


# ── vectors ────────────────────────────────────────────────────────────────────────────────────────
def packed(vector: Sequence[float]) -> str:
    """A vector as text: base64 of little-endian 32-bit floats."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def likenesses(query: Sequence[float], items: Sequence[Sequence[str]]) -> list[float | None]:
    """Of each item the best cosine of its packed vectors with the query's, -1 to 1; None where it has none.

    Vectors of another length are another model's: they are not compared. Raises ImportError without numpy.
    """
    import numpy as np  # noqa: PLC0415 - whoever does not search by meaning does not need it

    size = len(query) * _FLOAT
    raw = [[base64.b64decode(one) for one in item] for item in items]
    usable = [[one for one in item if len(one) == size] for item in raw]
    flat = b"".join(one for item in usable for one in item)
    vectors = np.frombuffer(flat, dtype="<f4").reshape(-1, len(query))
    asked = np.asarray(query, dtype="<f4")
    lengths = np.linalg.norm(vectors, axis=1) * float(np.linalg.norm(asked))
    with np.errstate(divide="ignore", invalid="ignore"):
        cosines = np.where(lengths > 0, (vectors @ asked) / lengths, 0.0).tolist()
    best: list[float | None] = []
    at = 0
    for item in usable:
        mine = cosines[at : at + len(item)]
        at += len(item)
        best.append(max(mine) if mine else None)
    return best


def ranked(scores: Sequence[float | None]) -> list[int]:
    """Places by score, best first; what has none comes last. Of equals the earlier one first."""
    return sorted(range(len(scores)), key=lambda place: -_order(scores[place]))


def _order(score: float | None) -> float:
    return -math.inf if score is None or math.isnan(score) else score
