"""Decisions' contexts as they are told, and whether a report on an erasure foretold them."""

from collections.abc import Mapping
from typing import Any

from support.cell import SUPPORT, Cell
from tenure.access import Ask
from tenure.decisions import Opening
from tenure.model.principal import Credential

Items = list[dict[str, Any]]


async def opened(cell: Cell, subject: str | None = None, who: str = "agent") -> str:
    """A decision's id."""
    made = await cell.tenure.decisions.open(cell.one[who], Opening(SUPPORT, subject))
    return str(made["id"])


async def told(cell: Cell, decisions: Mapping[str, Credential]) -> dict[str, Items]:
    """What each decision saw, as it is reconstructed now, by who made it."""
    found = {}
    for decision, credential in decisions.items():
        context = await cell.tenure.decisions.context(Ask(credential, SUPPORT), decision)
        assert context["withheld"] == 0, "whoever asks may read all of it"
        # Which certificate a tombstone names is no part of what was seen.
        found[decision] = [{**item, "certificate": None} for item in context["items"]]
    return found


def assert_foretold(report: dict[str, Any], before: dict[str, Items], after: dict[str, Items]) -> set[str]:
    """The report names exactly the decisions whose contexts differ, and how; these."""
    different = {decision for decision in before if before[decision] != after[decision]}
    assert {item["decision"] for item in report["items"]} == different
    assert report["decisions"]["differ"] == len(different) == len(report["items"])
    for item in report["items"]:
        was, became = before[item["decision"]], after[item["decision"]]
        assert item["before"] == lines(was, was, item["before"])
        assert item["after"] == lines(was, became, item["after"])
    return different


def lines(was: Items, became: Items, like: Items) -> Items:
    """A manifest out of two reconstructions. A tombstone does not say which segment it was: `like` does."""
    assert len(was) == len(became) == len(like)
    found = []
    for old, new, given in zip(was, became, like, strict=True):
        shown = "changed" if "content" in new else {"erased": "withheld"}.get(new["state"], new["state"])
        if new == old and "content" in new:
            shown = "returned"
        if shown == "changed":
            assert new["content"] == old["content"]
            assert set(new["subjects"]) < set(old["subjects"])
        line = {"record": new["record"], "version": new["version"]}
        segment = new.get("segment", given.get("segment"))
        found.append(line | ({} if segment is None else {"segment": segment}) | {"shown": shown})
    return found
