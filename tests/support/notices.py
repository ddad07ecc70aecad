"""Notices as the execution of a rights request makes them; and a receiver that trusts a public key alone."""

import base64
import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from support.webhook import Webhook
from tenure import ids
from tenure.bootstrap import Tenure
from tenure.crew import Desk, Solo
from tenure.governance import notices
from tenure.keys.ggm import leaf_number
from tenure.ledger.note import Verifier
from tenure.ledger.webhook import public_key
from tenure.model.notices import Notice
from tenure.store import notices as store
from tenure.store import tenants


def recipient(name: str, webhook: str, **spec: Any) -> dict[str, Any]:
    """A Recipient manifest."""
    given = {"description": f"{name} of tests", "webhook": webhook, "scopes": ["support.**"], **spec}
    return {"apiVersion": "tenure/v1", "kind": "Recipient", "metadata": {"name": name}, "spec": given}


async def told(
    tenure: Tenure,
    tenant_id: str,
    *recipients: str,
    event: str = "erased",
    reference: str = "customer:42",
    request: str | None = None,
    leaf: int | None = None,
) -> list[Notice]:
    """Have recipients told of one request, in one transaction."""

    def work(desk: Desk) -> list[Notice]:
        mine = leaf if leaf is not None else leaf_number(*tenants.take_leaves(desk.tx, 1))
        about = request or ids.new_id()
        data = {"reference": reference, "scopes": ["support.conversations"], "certificate": ids.new_id()}
        return [
            notices.enqueue(desk, request_id=about, leaf=mine, event=event, recipient_name=name, data=data)
            for name in recipients
        ]

    return list(await tenure.batcher.submit(tenant_id, Solo(work)))


async def dead(tenure: Tenure, tenant_id: str, name: str = "nobody-here") -> Notice:
    """A notice that was given up."""
    (made,) = await told(tenure, tenant_id, name)

    def work(desk: Desk) -> None:
        store.lock(desk.tx)
        over = made.given_up("gone", desk.now)
        store.move(desk.tx, over._replace(entry=notices.record(desk, over)))
        store.count(desk.tx)

    await tenure.batcher.submit(tenant_id, Solo(work))
    return made


def checked(receiver: Webhook, number: int, verifier: Verifier) -> dict[str, Any]:
    """A message that a receiver got, checked with the `whpk_` key and `cryptography`; its CloudEvent.

    Raises InvalidSignature.
    """
    head, body = receiver.headers[number], receiver.bodies[number]
    scheme, _, signature = head["webhook-signature"].partition(",")
    assert scheme == "v1a"
    kind, _, public = public_key(verifier).partition("_")
    assert kind == "whpk"
    text = f"{head['webhook-id']}.{head['webhook-timestamp']}.{body}".encode()
    Ed25519PublicKey.from_public_bytes(base64.b64decode(public)).verify(base64.b64decode(signature), text)
    event: dict[str, Any] = json.loads(body)
    assert event["id"] == head["webhook-id"]
    assert head["content-type"] == "application/cloudevents+json"
    return event
