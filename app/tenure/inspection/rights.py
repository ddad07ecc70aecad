"""Rights requests, against the entries of their steps.

Each step's entry seals the whole row as that step left it, and says which step it was: so the row is as the
entry that it names left it, and no entry knows of a later step.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from tenure import rowseals
from tenure.inspection.findings import Finding
from tenure.inspection.view import View, differing, guarded
from tenure.ledger.certificate import peek_origin, verify_certificate
from tenure.ledger.entry import Kind
from tenure.model.rightsrequest import RightsRequest, State
from tenure.store import tables
from tenure.store.inspecting import Row

_T = tables.rights_requests
STEPS = frozenset({Kind.REQUEST_OPEN, Kind.REQUEST_CHANGE, Kind.REQUEST_CLOSE})
"""Kinds of entries that say that a request took a step."""


def requests(view: View, page: Sequence[Row]) -> Iterator[Finding]:
    """Each request is as its newest step left it."""
    view.want(row["entry"] for row in page)
    for row in page:
        yield from guarded(view, "request", _T, (row["id"],), _request(view, row))


def _request(view: View, row: Row) -> Iterator[Finding]:
    key = (row["id"],)
    entry = view.entry(row["entry"])
    data = {} if entry is None else entry.get("data", {})
    if entry is None or entry["kind"] not in STEPS or data.get("request") != row["id"]:
        yield view.finding("request", _T, key, "entry", "no such entry says that it took a step")
        return
    request = RightsRequest(**{name: _plain(row[name]) for name in RightsRequest._fields})
    yield from differing(view, "request", _T, row, state=data["state"], ground=data.get("ground"))
    if request.state not in set(State):
        yield view.finding("request", _T, key, "state", "there is no such state")
    if request.step != data["step"] or request.step < view.over.steps.get(row["id"], 0):
        yield view.finding("request", _T, key, "timeline", "the ledger knows of another newest step")
    if view.keys is not None and data["row"] != rowseals.of_request(view.keys, request):
        yield view.finding("request-row", _T, key, "", "it is not as its newest step left it")
    yield from _certified(view, row, request)


def _certified(view: View, row: Row, request: RightsRequest) -> Iterator[Finding]:
    key = (row["id"],)
    if (request.envelope is None) != (request.certificate_id is None):
        yield view.finding("request", _T, key, "certificate_id", "a certificate and its id go together")
    elif request.envelope is not None:
        origin = peek_origin(request.envelope)
        report = verify_certificate(request.envelope, () if origin is None else tuple(view.signers(origin)))
        if not report.ok:
            yield view.finding("request", _T, key, "envelope", report.failures[0].detail)
            return
        said = report.certificate
        if (said["id"], said["request"]) != (request.certificate_id, request.id):
            yield view.finding("request", _T, key, "envelope", "the certificate is of another request")


def _plain(value: Any) -> Any:  # noqa: ANN401 - a column's value
    return bytes(value) if isinstance(value, memoryview) else value


def noted_step(view: View, entry: dict[str, Any]) -> str | None:
    """The request whose step an entry is, of which the pass keeps the newest; None for any other entry."""
    if entry["kind"] not in STEPS:
        return None
    data, steps = entry["data"], view.over.steps
    steps[data["request"]] = max(data["step"], steps.get(data["request"], 0))
    return str(data["request"])
