"""Probes. No credential: they say nothing about anybody."""

from typing import Any

from litestar import get
from litestar.types import ASGIApp

from tenure.http.auth import Call, tenure_of
from tenure.http.reply import json_reply
from tenure.http.shapes import base as shapes
from tenure.http.shapes.base import answers


@get("/health/live", operation_id="isAlive", responses=answers(200, shapes.Alive, "The process answers"))
async def live() -> ASGIApp:
    """Whether the process answers."""
    return json_reply(200, {"status": "ok"})


@get("/health/ready", operation_id="isReady", responses=answers(200, shapes.Health, "It can work"))
async def ready(request: Call) -> ASGIApp:
    """Whether the service can work; 503 when not."""
    health = await tenure_of(request).health()
    return json_reply(200 if health["ready"] else 503, health)


HANDLERS: list[Any] = [live, ready]
