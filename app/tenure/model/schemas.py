"""JSON Schema (2020-12) of every kind, made from the same models that read manifests.

For editors: what a schema refuses, the reader refuses too. The reader refuses more: rules between fields and
between manifests. The committed copies are in `policies/schemas/`; a test keeps them current.
"""

import json
from typing import Any

from tenure.model import names
from tenure.model.manifests import API_VERSION, CONTROLLER_NAME, NOT_ENFORCED, SPECS, VOCABULARY_NAME

DIALECT = "https://json-schema.org/draft/2020-12/schema"
ANY_KIND = "manifest"
"""The name of the schema that takes every kind."""

_TREE_OF_NAMES = {
    "type": "object",
    "propertyNames": {"pattern": f"^{names.LABEL}$"},
    "additionalProperties": {"anyOf": [{"$ref": "#/$defs/names"}, {"type": "null"}]},
}
_NOTE = "Checked and kept; this version does not enforce it."

Json = dict[str, Any]


def schemas() -> dict[str, Json]:
    """Each kind's schema by its name in lower case, and `manifest` for any of them."""
    found = {kind.lower(): _envelope(kind) for kind in SPECS}
    return {**found, ANY_KIND: _any_kind(found)}


def text(schema: Json) -> str:
    """A schema as it is written to its file."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def file_name(name: str) -> str:
    """The file of a schema in `policies/schemas/`."""
    return f"{name}.json"


def _envelope(kind: str) -> Json:
    spec = SPECS[kind].model_json_schema(by_alias=True)
    defs = spec.pop("$defs", {})
    whole = {
        "$schema": DIALECT,
        "$id": f"urn:tenure:schema:v1:{kind.lower()}",
        "title": kind,
        "description": spec.pop("description") + (f" {_NOTE}" if kind in NOT_ENFORCED else ""),
        "type": "object",
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "additionalProperties": False,
        "properties": {
            "apiVersion": {"const": API_VERSION},
            "kind": {"const": kind},
            "metadata": {
                "type": "object",
                "required": ["name"],
                "additionalProperties": False,
                "properties": {"name": _name(kind)},
            },
            "spec": spec,
        },
    }
    if kind == "Vocabulary":
        defs["names"] = _TREE_OF_NAMES
    found: Json = _tidy({**whole, "$defs": defs} if defs else whole)
    return found


def _name(kind: str) -> Json:
    if kind == "Scope":
        return {"type": "string", "pattern": names.SCOPE, "maxLength": names.NAME_MAX}
    if kind == "Vocabulary":
        return {"const": VOCABULARY_NAME}
    if kind == "Controller":
        return {"const": CONTROLLER_NAME}
    return {"type": "string", "pattern": f"^{names.LABEL}$"}


def _any_kind(found: dict[str, Json]) -> Json:
    """By the kind that a document names, so that an editor speaks of that one only."""
    kinds = {schema["title"]: schema for schema in found.values()}
    defs: Json = {}
    for schema in kinds.values():
        defs |= schema.get("$defs", {})
    parts = {name: {key: part for key, part in one.items() if key[0] != "$"} for name, one in kinds.items()}
    return {
        "$schema": DIALECT,
        "$id": f"urn:tenure:schema:v1:{ANY_KIND}",
        "title": "Manifest",
        "description": "Any manifest of Tenure.",
        "type": "object",
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "properties": {"apiVersion": {"const": API_VERSION}, "kind": {"enum": list(kinds)}},
        "allOf": [
            {
                "if": {"properties": {"kind": {"const": name}}, "required": ["kind"]},
                "then": {"$ref": f"#/$defs/{name}"},
            }
            for name in kinds
        ],
        "$defs": {**parts, **defs},
    }


def _tidy(value: Any) -> Any:  # noqa: ANN401 - any part of a schema
    """Without the titles that pydantic makes of field names, and with the tree of names where it is."""
    if isinstance(value, list):
        return [_tidy(one) for one in value]
    if not isinstance(value, dict):
        return value
    if value.get("format") == "names":
        return {"$ref": "#/$defs/names"}
    found: Json = {}
    for key, part in value.items():
        if key in ("properties", "$defs"):
            found[key] = {name: _tidy(one) for name, one in part.items()}
        elif (key, part) != ("default", None) and (key != "title" or "$id" in value):
            found[key] = _tidy(part)
    return found
