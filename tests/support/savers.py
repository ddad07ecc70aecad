"""A LangGraph saver from what can be told to another process: ours, or LangGraph's own as a control."""

import importlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypedDict

import tenure
from support.cell import NOTES, SUPPORT, Cell, Tenant

KNOWN = (
    "tenure.client.langgraph",
    "tenure.opening",
    "support.graphs",
    "support.savers",
    "langgraph.checkpoint.memory",
)
"""What a process that runs graphs imports (`nursery.start(knows=…)`)."""
SUBJECT = "customer:42"


class Told(TypedDict):
    """Which saver: `target` and `settings` as `tenure.open_async` takes them."""

    kind: str
    target: str
    api_key: str
    settings: dict[str, Any]


def told(cell: Cell, tenant: Tenant | None = None, **changes: Any) -> Told:
    """`TenureSaver` on a cell; `changes`: of its settings."""
    left_out = {"data_dir", "database_url"} if cell.dialect == "sqlite" else {"database_url"}
    settings = cell.settings.model_dump(mode="json", include=cell.settings.model_fields_set - left_out)
    target = cell.settings.database_url or str(cell.settings.data_dir)
    key = (tenant or cell.one).keys["agent"]
    return {"kind": "tenure", "target": target, "api_key": key, "settings": settings | changes}


def official(path: str) -> Told:
    """LangGraph's own on SQLite."""
    return {"kind": "sqlite", "target": path, "api_key": "", "settings": {}}


@asynccontextmanager
async def opened(given: Told, retries: int = 4) -> AsyncIterator[Any]:
    """The saver, until the block ends."""
    if given["kind"] == "sqlite":
        module = importlib.import_module("langgraph.checkpoint.sqlite.aio")
        async with module.AsyncSqliteSaver.from_conn_string(given["target"]) as saver:
            yield saver
        return
    module = importlib.import_module("tenure.client.langgraph")
    more = {"settings": given["settings"]} if given["settings"] else {}
    async with tenure.open_async(given["target"], given["api_key"], retries=retries, **more) as client:
        yield module.TenureSaver(
            client, scope=NOTES, categories=["contact"], purpose=SUPPORT, subjects=[SUBJECT]
        )
