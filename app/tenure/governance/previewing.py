"""What another retention would move and take away, before it is applied. Nothing is changed."""

import asyncio
from typing import Any, Final

from tenure import ids
from tenure.governance.counting import AT_ONCE, Counted, Counting
from tenure.governance.proposing import Proposal, Proposing, Standing
from tenure.model.durations import duration
from tenure.model.layers import Amount, rules_of
from tenure.model.lifetime import HOUR_US, Tier
from tenure.model.preview import Move, Preview, When, preview
from tenure.model.principal import Credential

WITHIN: Final = 30 * 24
"""Hours that are looked ahead, if nothing else is asked for."""
MAX_GROUPS: Final = 500
_HOLDS: Final = "Holds are active ({holds}): what they cover stays, and is counted here all the same."
_UNKNOWN: Final = "Rules that count from an access or an event: what is under them is in `unknown`."
_SOME: Final = f"There is more than is counted at once ({AT_ONCE} versions), and no count of a day yet."
_AS_OF: Final = "Counted at {at}; what was written since is missing."


class Previewing:
    """For who may apply."""

    def __init__(self, proposing: Proposing, counting: Counting) -> None:
        self._proposing = proposing
        self._counting = counting

    async def preview(self, credential: Credential, text: str, hours: int = WITHIN) -> dict[str, Any]:
        """Compare proposed Retention manifests with those that hold, now and so many hours later.

        `{"changes","policy","within","at","complete","moves","left_out","touched","unknown","now","later",
        "holds","entry","notes"}`: a move has `scope`, `categories`, `rule`, `from`, `to`, and how much
        `now` and `later`. Of a tenant that has much, it is told from the day's last count. Raises what an
        apply would. Two transactions, and those of `Counting.layers`.
        """
        proposal = await self._proposing.read(credential, text)
        counted = await self._counting.layers(credential.tenant_id)
        standing = await self._proposing.record(credential, proposal)
        return await asyncio.to_thread(_compared, counted, proposal, standing, hours)


def _compared(counted: Counted, proposal: Proposal, standing: Standing, hours: int) -> dict[str, Any]:
    now, then = standing.configuration, proposal.configuration
    at = ids.now()
    seen = preview(
        counted.layers,
        rules_of(now.retentions, now.categories),
        rules_of(then.retentions, then.categories),
        now=at,
        within=hours * HOUR_US,
    )
    ordered = sorted(seen.moves.items(), key=lambda one: (-one[1]["within"].bytes, one[0]))
    return {
        "changes": proposal.changes,
        "policy": proposal.policy,
        "within": duration(hours),
        "at": ids.rfc3339(counted.at),
        "complete": counted.complete,
        "moves": [_move(*one) for one in ordered[:MAX_GROUPS]],
        "left_out": max(0, len(ordered) - MAX_GROUPS),
        "touched": seen.touched._asdict(),
        "unknown": seen.unknown._asdict(),
        "now": _tiers(seen, "now"),
        "later": _tiers(seen, "within"),
        "holds": standing.holds,
        "entry": standing.entry,
        "notes": _notes(counted, seen, standing, at),
    }


def _move(move: Move, amounts: dict[When, Amount]) -> dict[str, Any]:
    return {
        "scope": move.scope,
        "categories": move.labels.split(","),
        "rule": move.rule,
        "from": move.was,
        "to": move.becomes,
        "now": amounts["now"]._asdict(),
        "later": amounts["within"]._asdict(),
    }


def _tiers(seen: Preview, when: When) -> dict[str, Any]:
    def shown(tiers: dict[Tier, Amount]) -> dict[str, Any]:
        return {tier: amount._asdict() for tier, amount in tiers.items()}

    return {"current": shown(seen.current[when]), "proposed": shown(seen.proposed[when])}


def _notes(counted: Counted, seen: Preview, standing: Standing, at: int) -> list[str]:
    notes = [_HOLDS.format(holds=standing.holds)] if standing.holds else []
    notes += [_UNKNOWN] if seen.unknown.versions else []
    notes += [] if counted.complete else [_SOME]
    fresh = at - counted.at < HOUR_US // 60
    return notes if fresh else [*notes, _AS_OF.format(at=ids.rfc3339(counted.at))]
