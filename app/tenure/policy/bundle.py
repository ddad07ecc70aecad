"""A bundle: everything a decision depends on but the question, as canonical bytes with a digest.

Ledger entries name the digest they were decided under; the stored bytes re-create the engine, so a past
decision can be evaluated again. Canonical JSON is RFC 8785, the digest SHA-256 of those bytes.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Any, cast

import rfc8785

from tenure.errors import Malformed, Tampered
from tenure.model.configuration import Configuration
from tenure.model.manifests import parse_manifests
from tenure.policy.engine import Engine

FORMAT = "tenure/policy-bundle/v1"


@dataclass(frozen=True, slots=True)
class Bundle:
    """Canonical bytes and `sha256:<hex>` of them."""

    data: bytes
    digest: str


@dataclass(frozen=True, slots=True)
class LoadedBundle:
    """The parts of a bundle."""

    digest: str
    configuration: Configuration
    model_text: str
    builtin_text: str

    def engine(self, tenant: str) -> Engine:
        """The engine that decided under this digest, for the tenant whose ledger names it."""
        return Engine(
            self.configuration,
            tenant=tenant,
            model_text=self.model_text,
            builtin_rules_text=self.builtin_text,
        )


def bundle(configuration: Configuration, model_text: str, builtin_text: str) -> Bundle:
    """Bundle a configuration with the model and the built-in rules, comments and all."""
    whole = {
        "format": FORMAT,
        "model": model_text,
        "builtin": builtin_text,
        "manifests": configuration.canonical(),
    }
    data = rfc8785.dumps(cast("Any", whole))
    return Bundle(data, _digest(data))


def load_bundle(data: bytes, digest: str | None = None) -> LoadedBundle:
    """Read a bundle back.

    Raises `Tampered` if `digest` is given and is not that of `data`, `Malformed` if `data` is not a
    canonical bundle of this format, `Invalid` if its manifests do not hold together.
    """
    found = _digest(data)
    if digest is not None and digest != found:
        raise Tampered(
            "The policy bundle does not have the digest it is stored under. Nothing was evaluated. "
            "Take the bundle from a backup or the mirror."
        )
    try:
        whole = json.loads(data)
        again = rfc8785.dumps(whole)
    except (ValueError, RecursionError) as problem:
        raise _malformed("it is not JSON") from problem
    if not isinstance(whole, dict) or set(whole) != {"format", "model", "builtin", "manifests"}:
        raise _malformed("its fields are not those of a bundle")
    if whole["format"] != FORMAT or again != data:
        raise _malformed(f"it is not the canonical form of {FORMAT}")
    if not isinstance(whole["model"], str) or not isinstance(whole["builtin"], str):
        raise _malformed("its model or built-in rules are not text")
    if not isinstance(whole["manifests"], list):
        raise _malformed("its manifests are not a list")
    configuration = Configuration.empty().with_manifests(parse_manifests(whole["manifests"]))
    return LoadedBundle(found, configuration, whole["model"], whole["builtin"])


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _malformed(what: str) -> Malformed:
    return Malformed(
        f"The policy bundle cannot be read: {what}. Nothing was evaluated. Give the stored bytes.",
        field="bundle",
        rule="bundle-format",
        remedy="Give the bytes exactly as they were stored.",
    )
