"""The data of every contender: the same 1 kB of JSON, the same many keys."""

import json
import random

KEYS = 10_000
"""Records that exist before a run and are read; a tenth as many others are overwritten."""
OVERWRITTEN = KEYS // 10
PEOPLE = 500
BYTES = 1024

SCOPE, PURPOSE, CATEGORY = "support.conversations", "customer-support", "contact"

MANIFESTS = f"""
apiVersion: tenure/v1
kind: Vocabulary
metadata: {{name: default}}
spec:
  categories: {{personal: {{{CATEGORY}: {{}}, travel: {{}}}}, special: {{health: {{}}}}}}
  purposes: {{service: {{{PURPOSE}: {{}}}}, marketing: {{}}}}
---
apiVersion: tenure/v1
kind: Scope
metadata: {{name: {SCOPE}}}
spec:
  description: what customers said
  controller: bench
  lawfulBasis: {{{PURPOSE}: contract}}
  categories: [{CATEGORY}, travel]
  subjects: required
  jointErasure: any
---
apiVersion: tenure/v1
kind: Role
metadata: {{name: support-agent}}
spec: {{description: answers}}
---
apiVersion: tenure/v1
kind: Grant
metadata: {{name: support}}
spec:
  roles: [support-agent]
  scopes: ["support.**"]
  categories: ["*"]
  purposes: [{PURPOSE}]
  actions: [read, write, list, delete]
  effect: allow
"""


def content(number: int) -> str:
    """Canonical JSON of exactly 1 kB; text that does not compress to nothing."""
    rng = random.Random(number)  # noqa: S311 - the same rows in every run
    words = " ".join(f"{rng.getrandbits(28):07x}" for _ in range(BYTES // 8 + 1))
    frame = json.dumps({"from": "customer", "n": number % 10_000, "text": ""}, separators=(",", ":"))
    return frame[:-2] + words[: BYTES - len(frame)] + '"}'


def person(number: int) -> str:
    """A subject reference."""
    return f"customer:{number % PEOPLE}"


def body(number: int) -> str:
    """A PUT body on one line."""
    rest = json.dumps({"subjects": [person(number)], "categories": [CATEGORY]}, separators=(",", ":"))
    return f'{{"content":{content(number)},{rest[1:]}'
