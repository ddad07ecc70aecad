"""Policy told: why something is allowed or not, and a past decision under other rules."""

from typing import Any

from litestar import post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.types import ASGIApp

from tenure.errors import Invalid
from tenure.governance.explaining import About, Question
from tenure.http import wire
from tenure.http.auth import Call, tenure_of
from tenure.http.reply import json_reply
from tenure.http.shapes import policy as shapes
from tenure.http.shapes.base import answers
from tenure.model.principal import Credential

_ASKED = ("scope", "categories", "purpose", "action")
_OPTIONAL = ("principal", "roles", "at")


@post(
    "/v1/policy:explain",
    operation_id="explainPolicy",
    status_code=200,
    responses=answers(200, shapes.Explanations, "Why"),
)
async def explain_policy(request: Call, credential: NamedDependency[Credential]) -> ASGIApp:
    """Every rule that spoke, and what would have had to differ: of a question, an entry or a decision."""
    about = _about(await wire.received(request, wire.Explanation))
    return json_reply(200, await tenure_of(request).explaining.explain(credential, about))


@post(
    "/v1/decisions/{id:str}/:replay",
    operation_id="replayDecision",
    status_code=200,
    responses=answers(200, shapes.Replay, "Then and now"),
)
async def replay_decision(
    request: Call,
    id: FromPath[str],  # noqa: A002 - the path's own word
    credential: NamedDependency[Credential],
) -> ASGIApp:
    """Judge a decision's accesses under today's rules or those of a digest. Itself on record."""
    data = await wire.received(request, wire.NewReplay)
    return json_reply(200, await tenure_of(request).replaying.replay(credential, id, data.policy))


def _about(data: wire.Explanation) -> About:
    """What is to be explained. Raises Invalid unless it is exactly one thing, and whole."""
    given = data.model_fields_set
    parts = given & {*_ASKED, *_OPTIONAL}
    if (data.entry is not None) + (data.decision is not None) + bool(parts) != 1:
        raise Invalid(
            "It is not clear what is to be explained; nothing was evaluated.",
            field="entry",
            rule="an entry, or a decision, or a question",
            remedy="Give one of them: a question has principal or roles, scope, categories, purpose, action.",
        )
    if not parts:
        return About(entry=data.entry, decision=data.decision)
    if (data.principal is None) == (data.roles is None):
        raise _incomplete("principal", "a principal or roles, not both")
    scope, categories, purpose, action = data.scope, data.categories, data.purpose, data.action
    if scope is None:
        raise _incomplete("scope", "required in a question")
    if not categories:
        raise _incomplete("categories", "at least one in a question")
    if purpose is None:
        raise _incomplete("purpose", "required in a question")
    if action is None:
        raise _incomplete("action", "required in a question")
    roles = None if data.roles is None else tuple(sorted(set(data.roles)))
    question = Question(scope, categories, purpose, action, data.principal, roles, data.at)
    return About(question=question)


def _incomplete(field: str, rule: str) -> Invalid:
    return Invalid(
        "The question is not whole; nothing was evaluated.",
        field=field,
        rule=rule,
        remedy="A question has principal or roles, scope, categories, purpose, action, and perhaps at.",
    )


HANDLERS: list[Any] = [explain_policy, replay_decision]
