"""Decisions: open, seal, show, reconstruct, receipt, openings."""

import hashlib
from typing import Any, Literal

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.types import ASGIApp

from tenure.access import Ask
from tenure.decisions import Opening
from tenure.errors import Invalid
from tenure.http import wire
from tenure.http.auth import Call, headers_of, read_idempotency_key, tenure_of
from tenure.http.reply import json_reply, text_reply
from tenure.http.shapes import records as shapes
from tenure.http.shapes.base import answers
from tenure.http.turnstile import count_records
from tenure.ledger.canonical import canonical
from tenure.model.principal import Credential
from tenure.model.record import check_json
from tenure.reconstruction import Chosen

_ONE = "/v1/decisions/{id:str}"


@post(
    "/v1/decisions",
    operation_id="openDecision",
    status_code=201,
    responses=answers(201, shapes.DecisionOpened, "Open"),
)
async def open_decision(request: Call, credential: NamedDependency[Credential]) -> ASGIApp:
    """Open a decision. Accesses that name it in Tenure-Decision are bound to it."""
    data = await wire.received(request, wire.NewDecision)
    read_idempotency_key(headers_of(request.scope))
    named = {"agent": data.agent, "model": data.model, "input_sha256": data.input_sha256}
    facts = {name: value for name, value in named.items() if value is not None}
    opened = await tenure_of(request).decisions.open(credential, Opening(data.purpose, data.subject, facts))
    return json_reply(201, opened)


@post(
    _ONE + "/:seal",
    operation_id="sealDecision",
    status_code=200,
    responses=answers(200, shapes.DecisionSealed, "Sealed"),
)
async def seal_decision(
    request: Call,
    id: FromPath[str],  # noqa: A002 - the path's own word
    credential: NamedDependency[Credential],
) -> ASGIApp:
    """Close a decision with its outcome. It takes no more accesses."""
    data = await wire.received(request, wire.Outcome)
    read_idempotency_key(headers_of(request.scope))
    digest = _output_digest(data)
    sealed = await tenure_of(request).decisions.seal(credential, id, data.outcome, digest)
    return json_reply(200, sealed)


@get(_ONE, operation_id="getDecision", responses=answers(200, shapes.Decision, "The decision"))
async def get_decision(
    request: Call,
    id: FromPath[str],  # noqa: A002 - the path's own word
    credential: NamedDependency[Credential],
) -> ASGIApp:
    """What it is and what it read, without content."""
    return json_reply(200, await tenure_of(request).decisions.get(credential, id))


@get(
    _ONE + "/context",
    operation_id="getDecisionContext",
    responses=answers(200, shapes.Reconstruction, "What it saw"),
)
async def get_context(
    request: Call,
    id: FromPath[str],  # noqa: A002 - the path's own word
    ask: NamedDependency[Ask],
) -> ASGIApp:
    """The exact content it saw, as far as the asker may see it. Itself a recorded access."""
    found = await tenure_of(request).decisions.context(ask, id)
    count_records(request.scope, len(found["items"]))
    return json_reply(200, found)


@get(
    _ONE + "/openings",
    operation_id="getDecisionOpenings",
    responses=answers(200, shapes.Reconstruction, "What opens its commitments"),
)
async def get_openings(
    request: Call,
    id: FromPath[str],  # noqa: A002 - the path's own word
    ask: NamedDependency[Ask],
    entry: FromQuery[list[str] | None] = None,
    record: FromQuery[list[str] | None] = None,
) -> ASGIApp:
    """Salts and contents behind its commitments, of all its accesses or the chosen ones. Itself recorded."""
    chosen = Chosen(frozenset(entry or ()), frozenset(record or ()))
    found = await tenure_of(request).decisions.openings(ask, id, chosen)
    count_records(request.scope, len(found["items"]))
    return json_reply(200, found)


@get(
    _ONE + "/receipt",
    operation_id="getDecisionReceipt",
    responses=answers(200, str, "A C2SP tlog-proof", media="text/plain"),
)
async def get_receipt(
    request: Call,
    id: FromPath[str],  # noqa: A002 - the path's own word
    credential: NamedDependency[Credential],
    cell: FromQuery[Literal["wait"] | None] = None,
) -> ASGIApp:
    """The receipt: the seal's entry, its inclusion proof and a signed checkpoint. 202 until published.

    With `cell=wait`, 202 until its checkpoint is in the cell's log, too.
    """
    return text_reply(await tenure_of(request).decisions.receipt(credential, id, cell=cell == "wait"))


def _output_digest(data: wire.Outcome) -> str | None:
    if "output" not in data.model_fields_set:
        return data.output_sha256
    if data.output_sha256 is not None:
        raise Invalid(
            "The request gives an output and a digest; nothing was sealed.",
            field="output_sha256",
            rule="output or output_sha256, not both",
            remedy="Leave one of the two out.",
        )
    check_json(data.output, "output")
    return hashlib.sha256(canonical(data.output)).hexdigest()


HANDLERS: list[Any] = [open_decision, seal_decision, get_decision, get_context, get_openings, get_receipt]
