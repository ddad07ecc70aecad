"""The OpenAPI 3.1 document: what the framework derives, in our callers' terms.

The framework knows paths, ids and most queries. This adds what it cannot see: headers and bodies, which
handlers read themselves, problem documents, and the public spelling of paths. Schemas come from the pydantic
models, which are also what checks the requests.

`python -m tenure.http.openapi docs/openapi.json` writes the committed copy.
"""

import json
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

from litestar import Litestar
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from tenure.http import rightswire, routes, threadwire, wire
from tenure.http.paths import public
from tenure.http.shapes.base import Shape
from tenure.ledger.canonical import MAX_INTEGER

Json = dict[str, Any]

_PURPOSE, _DECISION, _ONCE = "Tenure-Purpose", "Tenure-Decision", "Idempotency-Key"
_BEHALF = "Tenure-On-Behalf-Of"
_MATCH, _ABSENT = "If-Match", "If-None-Match"
_PROBLEMS = {
    "400": "The request cannot be read",
    "401": "No usable credential",
    "403": "Policy denies this; the denial is in the ledger under `entry`",
    "404": "Nothing there that this principal may know of",
    "413": "Too large",
    "422": "The request breaks a rule",
    "429": "Over a limit for the moment: `limit` names it, wait `retry_after` seconds",
    "503": "Not possible now; `Retry-After` says when to try again",
    "default": "Any other refusal or failure",
}


def _header(name: str, description: str, *, required: bool = False, **schema: object) -> Json:
    shape: Json = {"type": "string", **schema}
    return {"name": name, "in": "header", "required": required, "description": description, "schema": shape}


def _query(name: str, description: str, **schema: object) -> Json:
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}


_PARAMETERS: dict[str, Json] = {
    _PURPOSE: _header(_PURPOSE, "Why: a declared purpose.", required=True, minLength=1),
    _DECISION: _header(_DECISION, "The open decision that this access is part of.", format="uuid"),
    _BEHALF: _header(
        _BEHALF,
        "The principal that the caller acts for: both must be allowed, and both are on record.",
        format="uuid",
    ),
    _ONCE: _header(
        _ONCE,
        "Makes repeating the call safe. Bound to the request: with another one it is refused (422).",
        pattern="^[ -~]{1,255}$",
    ),
    _MATCH: _header(_MATCH, "Only if the record is at this version.", pattern='^"[1-9][0-9]{0,15}"$'),
    _ABSENT: _header(_ABSENT, "Only if there is no such record.", const="*"),
    "version": _query("version", "A version by number.", type="integer", minimum=1, maximum=MAX_INTEGER),
    "as_of": _query("as_of", "The version that was current then.", type="string", format="date-time"),
    "explain": _query("explain", "When it goes, and why, instead of its content.", const=wire.EXPLAIN),
}
_THREADS: dict[str, type[wire.Body]] = {
    "putSnapshot": threadwire.PutSnapshot,
    "putWrites": threadwire.PutWrites,
    "getSnapshot": threadwire.GetSnapshot,
    "querySnapshots": threadwire.QuerySnapshots,
    "deleteThread": threadwire.ThreadName,
    "copyThread": threadwire.CopyThread,
    "pruneThread": threadwire.ThreadName,
    "deleteRun": threadwire.RunName,
}
_READ_BY_HAND: dict[str, tuple[str, ...]] = {
    "putRecord": (_PURPOSE, _DECISION, _MATCH, _ABSENT, _ONCE),
    "getRecord": ("version", "as_of", "explain", _PURPOSE, _DECISION),
    "deleteRecord": (_PURPOSE, _DECISION, _MATCH),
    "listVersions": (_PURPOSE, _DECISION),
    "queryRecords": (_PURPOSE, _DECISION),
    "getRecordByBody": (_PURPOSE, _DECISION),
    "getDecisionContext": (_PURPOSE, _DECISION),
    "getDecisionOpenings": (_PURPOSE, _DECISION),
    "applyManifests": (_ONCE,),
    "rollbackManifests": (_ONCE,),
    "createTenant": (_ONCE,),
    "createPrincipal": (_ONCE,),
    "createCredential": (_ONCE,),
    "addIssuer": (_ONCE,),
    "shredSubject": (_ONCE,),
    "shredTenant": (_ONCE,),
    "setTenantLimits": (_ONCE,),
    "setCredentialLimits": (_ONCE,),
    "postEvent": (_PURPOSE, _DECISION, _ONCE),
    "retrieveRecords": (_PURPOSE, _DECISION, _ONCE),
    "retrieveSubject": (_ONCE,),
    **dict.fromkeys(_THREADS, (_PURPOSE, _DECISION)),
    "placeHold": (_ONCE,),
    "releaseHold": (_ONCE,),
    "openRequest": (_ONCE,),
    "identifyRequest": (_ONCE,),
    "scopeRequest": (_ONCE,),
    "approveRequest": (_ONCE,),
    "refuseRequest": (_ONCE,),
    "withdrawRequest": (_ONCE,),
    "acknowledgeRequest": (_ONCE,),
    "pauseRequest": (_ONCE,),
    "resumeRequest": (_ONCE,),
    "extendRequest": (_ONCE,),
    "noteRequest": (_ONCE,),
    "concludeRequest": (_ONCE,),
    "liftRequest": (_ONCE,),
    "resendNotice": (_ONCE,),
    "requestElevation": (_ONCE,),
    "approveElevation": (_ONCE,),
    "refuseElevation": (_ONCE,),
    "endElevation": (_ONCE,),
    "reviewElevation": (_ONCE,),
}
_ALSO = {
    "409": "The present state forbids this",
    "410": "Erased; names the certificate once there is one. Or its time is over",
    "412": "The record has changed",
    "501": "Not supported here",
    "507": "The tenant's storage is full",
}
_MAY_ALSO: dict[str, tuple[str, ...]] = {
    "putRecord": ("409", "410", "412", "507"),
    "getRecord": ("409", "410"),
    "deleteRecord": ("409", "410", "412"),
    "listVersions": ("409", "410"),
    "queryRecords": ("409", "410"),
    "getRecordByBody": ("409", "410"),
    "openDecision": ("410",),
    "sealDecision": ("409",),
    "fetchPackage": ("409", "410"),
    "getDecisionContext": ("409",),
    "getDecisionOpenings": ("409",),
    "getDecisionReceipt": ("409",),
    "createPrincipal": ("409",),
    "changePrincipal": ("409",),
    "addIssuer": ("409",),
    "applyManifests": ("409",),
    "diffManifests": ("409",),
    "forecastProposed": ("409",),
    "previewRetention": ("409",),
    "rollbackManifests": ("409",),
    "identifyRequest": ("409",),
    "scopeRequest": ("409",),
    "approveRequest": ("409",),
    "refuseRequest": ("409",),
    "withdrawRequest": ("409",),
    "acknowledgeRequest": ("409",),
    "pauseRequest": ("409",),
    "resumeRequest": ("409",),
    "extendRequest": ("409",),
    "noteRequest": ("409", "410"),
    "concludeRequest": ("409",),
    "liftRequest": ("409", "410"),
    "linkRequest": ("409", "410"),
    "getRequestCase": ("410",),
    "requestElevation": ("409",),
    "approveElevation": ("409",),
    "refuseElevation": ("409",),
    "endElevation": ("409",),
    "reviewElevation": ("409",),
    "resendNotice": ("409",),
    "postEvent": ("409", "410"),
    "retrieveRecords": ("409", "410"),
    "retrieveSubject": ("410",),
    "putSnapshot": ("409", "410", "412", "507"),
    "putWrites": ("409", "410", "412", "507"),
    "getSnapshot": ("409", "410"),
    "querySnapshots": ("409", "410"),
    "deleteThread": ("409",),
    "copyThread": ("409", "410", "507"),
    "pruneThread": ("409", "410"),
    "deleteRun": ("409", "410"),
    "placeHold": ("409",),
    "releaseHold": ("409",),
    "shredTenant": ("409",),
    "rotateRootKey": ("409",),
    "migrateRootKey": ("409",),
    "runJob": ("409",),
    "getLifecycle": ("409", "501"),
    "applyLifecycle": ("409", "501"),
}
"""What a call may answer beyond what all of them may."""
_BODIES: dict[str, type[wire.Body]] = {
    "putRecord": wire.NewVersion,
    "queryRecords": wire.RecordQuery,
    "getRecordByBody": wire.RecordAddress,
    "openDecision": wire.NewDecision,
    "sealDecision": wire.Outcome,
    "explainPolicy": wire.Explanation,
    "replayDecision": wire.NewReplay,
    "createTenant": wire.NewTenant,
    "rollbackManifests": wire.Rollback,
    "shredTenant": wire.Leaving,
    "setTenantLimits": wire.TenantLimits,
    "setCredentialLimits": wire.CredentialLimits,
    "rotateLedgerKey": wire.LedgerKeyRotation,
    "applyLifecycle": wire.LifecycleApply,
    "forecastProposed": wire.ForecastProposal,
    "previewRetention": wire.RetentionProposal,
    "createPrincipal": wire.NewPrincipal,
    "changePrincipal": wire.PrincipalChange,
    "createCredential": wire.NewCredential,
    "addIssuer": wire.NewIssuer,
    "lookupSubject": wire.SubjectReference,
    "fetchPackage": wire.PackageLink,
    "postEvent": wire.NewEvent,
    "retrieveRecords": wire.RetrievalRequest,
    **_THREADS,
    "placeHold": wire.NewHold,
    "openRequest": rightswire.NewRightsRequest,
    "findRequests": rightswire.WhoAsked,
    "identifyRequest": rightswire.Identification,
    "refuseRequest": rightswire.RequestRefusal,
    "pauseRequest": rightswire.PauseClock,
    "extendRequest": rightswire.ExtendClock,
    "noteRequest": rightswire.CaseNote,
    "concludeRequest": rightswire.Conclusion,
    "requestElevation": wire.NewElevation,
    "reviewElevation": wire.Review,
    "signEvidence": wire.EvidenceIndex,
    "scanForResidue": wire.NewScan,
}
_MAY_HAVE_NO_BODY = {"shredTenant", "rotateLedgerKey", "createCredential", "applyLifecycle"}
_MANIFESTS: Json = {"application/yaml": {"schema": {"type": "string"}}, "application/json": {"schema": {}}}
_RETRY_AFTER: Json = {"description": "Seconds.", "schema": {"type": "integer"}}
_ETAGS = {"putRecord": "201", "getRecord": "200", "getRecordByBody": "200"}
_WAITING = {"retrieveRecords", "retrieveSubject", "getRetrieval"}
"""Their 202 has a document of its own, and says when to look again."""
_PAPERS: Json = {
    "text/html": {"schema": {"type": "string"}},
    "application/pdf": {"schema": {"type": "string", "format": "binary"}},
}
_ALSO_PAPERS = {"getCertificate", "getRegister"}
"""Theirs is a paper for people, too, for who accepts that."""
_OPEN = {"isAlive", "isReady"}
_LINKED = {"getPackagePage", "fetchPackage"}
"""For people who have a link and no credential."""
_PUBLIC = {*_OPEN, *_LINKED, "getMetrics"}
_LATER = {
    **dict.fromkeys(
        (
            *("getRecord", "getRecordByBody", "queryRecords", "getDecisionContext", "getDecisionOpenings"),
            *("getSnapshot", "querySnapshots", "copyThread", "pruneThread", "deleteRun"),
        ),
        "A content lies in an archive, which was asked to give it out",
    ),
    "getDecisionReceipt": "Not published yet",
    "getEntryReceipt": "Not published yet",
    "getCheckpoint": "Nothing published yet",
    "getPopulation": "Nothing published yet",
    "rotateRootKey": "Under way",
    "migrateRootKey": "Under way",
    "runJob": "Under way",
}


@lru_cache(maxsize=1)
def document() -> bytes:
    """The document as JSON text."""
    derived = _derived()
    derived["paths"] = {
        public(path): {method: _complete(operation) for method, operation in item.items()}
        for path, item in sorted(derived["paths"].items())
    }
    derived["components"]["schemas"] = _schemas()
    derived["components"]["responses"] = {
        f"Problem-{at}": _problem(text, "Retry-After" if at == "429" else None)
        for at, text in (_PROBLEMS | _ALSO).items()
    }
    return (json.dumps(derived, indent=1, ensure_ascii=False) + "\n").encode()


def _derived() -> Json:
    bearer = SecurityScheme(
        type="http",
        scheme="bearer",
        description="An API key, tnr_…, or an access token of an issuer that the tenant configured",
    )
    config = OpenAPIConfig(
        title="Tenure",
        version="1",
        description="Governed context for AI agents.",
        components=Components(security_schemes={"bearer": bearer}),
        security=[{"bearer": []}],
        use_handler_docstrings=True,
    )
    app = Litestar(
        routes.handlers(), dependencies=routes.dependencies(), logging_config=None, openapi_config=config
    )
    return app.openapi_schema.to_schema()


def _complete(operation: Json) -> Json:
    name = operation["operationId"]
    for said_already in ("deprecated", "summary"):
        operation.pop(said_already, None)
    derived = sorted(operation.pop("parameters", []), key=lambda one: (one["in"], one["name"]))
    parameters = [_plain(one) for one in derived]
    by_hand = (*_READ_BY_HAND.get(name, ()), *(() if name in _PUBLIC else (_BEHALF,)))
    parameters += [_PARAMETERS[one] for one in by_hand]
    if parameters:
        operation["parameters"] = parameters
    if name in _BODIES:
        schema = {"$ref": f"#/components/schemas/{_BODIES[name].__name__}"}
        operation["requestBody"] = {
            "required": name not in _MAY_HAVE_NO_BODY,
            "content": {"application/json": {"schema": schema}},
        }
    if name in ("applyManifests", "diffManifests"):
        operation["requestBody"] = {"required": True, "content": _MANIFESTS}
    responses = _successes(name, operation)
    if name in _LATER:
        responses["202"] = _problem(_LATER[name], "Retry-After")
    if name in _OPEN:
        operation["security"] = []
        responses["503"] = {**responses["200"], "description": "It cannot work now"}
    else:
        if name in _LINKED:
            operation["security"] = []
        documented = (*_PROBLEMS, *_MAY_ALSO.get(name, ()))
        responses |= {status: {"$ref": f"#/components/responses/Problem-{status}"} for status in documented}
    operation["responses"] = responses
    return operation


def _successes(name: str, operation: Json) -> Json:
    responses = {status: answer for status, answer in operation["responses"].items() if status[0] == "2"}
    for answer in responses.values():
        if not answer.get("headers"):
            answer.pop("headers", None)
    if name in _ETAGS:
        etag = {"ETag": {"description": 'The version, for example "3".', "schema": {"type": "string"}}}
        responses[_ETAGS[name]]["headers"] = etag
    if name in _ALSO_PAPERS:
        responses["200"]["content"] |= _PAPERS
    if name in _WAITING:
        responses["202"]["headers"] = {"Retry-After": _RETRY_AFTER}
    return responses


def _plain(parameter: Json) -> Json:
    """A derived parameter without what says nothing."""
    name, schema = parameter["name"].replace("scope_name", "scope"), parameter["schema"]
    kinds = schema.pop("oneOf", [])
    schema |= next((kind for kind in kinds if kind.get("type") != "null"), {})
    if None in schema.get("enum", ()):  # may be left out, which is not a value
        schema |= {"type": "string", "enum": [one for one in schema["enum"] if one is not None]}
    if name in ("id", "credential_id", "principal", "decision", "request"):
        schema["format"] = "uuid"
    if name in ("from", "to"):
        schema["format"] = "date-time"
    return {"name": name, "in": parameter["in"], "required": parameter["required"], "schema": schema}


def _problem(description: str, header: str | None = None) -> Json:
    schema = {"$ref": "#/components/schemas/Problem"}
    answer: Json = {"description": description, "content": {"application/problem+json": {"schema": schema}}}
    if header is not None:
        answer["headers"] = {header: _RETRY_AFTER}
    return answer


def _schemas() -> Json:
    def below(base: type[BaseModel]) -> list[type[BaseModel]]:
        found = {deeper for one in base.__subclasses__() for deeper in (one, *below(one))}
        return sorted(found, key=lambda one: one.__name__)

    sent = [(one, "validation") for one in below(wire.Body)]
    answered = [(one, "validation") for one in below(Shape)]
    _, made = models_json_schema([*sent, *answered], ref_template="#/components/schemas/{model}")  # type: ignore[list-item]
    return dict(made["$defs"])


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(document())
