"""Acts 1 to 5: context is written, read, refused, decided on, and proven."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tenure.cli.demo.cast import (
    MARKETING,
    QUALITY,
    SUPPORT,
    Cast,
    every,
    exact,
    patiently,
    read,
    write,
)
from tenure.cli.demo.dataset import Conversation, DataSet, Item, Place
from tenure.cli.demo.screen import Screen, demand
from tenure.client import verify_file
from tenure.errors import Denied

_SHOWN = 4


@dataclass(slots=True)
class Story:
    """What is told, where it is kept, and what came of it so far."""

    data: DataSet
    folder: Path
    screen: Screen
    decisions: dict[int, str] = field(default_factory=dict)
    """Decision ids by the number of the conversation, from 1."""
    vkey: str = ""

    def receipt(self, number: int) -> Path:
        """Where a decision's receipt is kept."""
        return self.folder / "receipts" / f"decision-{number}.txt"

    @property
    def certificate(self) -> Path:
        """Where the erasure's certificate is kept."""
        return self.folder / "certificate.json"


async def act_write(story: Story, cast: Cast) -> None:
    """Every record names the people it is about, and is sealed under their keys."""
    story.screen.act(
        "Write",
        "An agent keeps context: its customers, who flies with whom, what was said, which rules apply.\n"
        "Each record says what kind of data it holds and about whom; it is sealed under those people's keys.",
    )
    items = list(story.data.everything())
    shown: dict[str, tuple[object, ...]] = {}
    count_of = Counter(item.scope for item in items)

    async def one(item: Item) -> None:
        made = await write(cast.agent, item)
        people = len(item.subjects) or "nobody"
        shown.setdefault(item.scope, (", ".join(item.categories), people, made["entry"]))

    with story.screen.progress("records written", len(items)) as steps:
        await every(one, items, steps)
    rows = [(scope, number, *shown[scope]) for scope, number in count_of.items()]
    story.screen.table(("scope", "records", "the first: categories", "people", "ledger entry"), rows)
    several = sum(len(item.subjects) > 1 for item in items)
    story.screen.output.line(
        f"{len(items)} records written; {several} of them are about more than one person."
    )
    story.screen.facts(records=len(items), by_scope=dict(count_of), with_several_subjects=several)


async def act_read(story: Story, cast: Cast) -> None:
    """Every read states a purpose, and is in the ledger before the answer leaves."""
    story.screen.act(
        "Governed read",
        "The agent reads for a stated purpose. Policy allows it, and the access is committed to the ledger\n"
        "before the plaintext leaves the service.",
    )
    items = list(story.data.everything())
    shown: dict[str, tuple[object, ...]] = {}

    async def one(item: Item) -> None:
        found = await read(cast.agent, item.place, SUPPORT)
        demand(
            exact(found["content"]) == exact(item.content), "A record did not come back as it was written."
        )
        row = (item.scope, SUPPORT, "200 allowed", found["entry"], f"{found['commitment'][:16]}…")
        shown.setdefault(item.scope, row)

    with story.screen.progress("records read back", len(items)) as steps:
        await every(one, items, steps)
    story.screen.table(("scope", "purpose", "answer", "ledger entry", "commitment"), shown.values())
    story.screen.output.line(f"{len(items)} records read back, each byte for byte as written.")
    story.screen.facts(read_back=len(items))


async def act_refuse(story: Story, cast: Cast) -> None:
    """The wrong purpose, and a category that this purpose never sees."""
    story.screen.act(
        "Denial",
        "Nothing is allowed unless a grant says so, and a deny outweighs every allow. Refusals are recorded\n"
        "in the ledger too.",
    )
    messages = [item for told in story.data.conversations for item in told.messages]
    health = next((item.place for item in messages if "health" in item.categories), None)
    plain = next(item.place for item in messages if "health" not in item.categories)
    demand(health is not None, "The data set has no message that is labelled with health data.")
    tries: list[tuple[str, Any, Place, str]] = [
        ("the agent reads a conversation for marketing", cast.agent, plain, MARKETING),
        ("the lead reads a conversation for quality", cast.lead, plain, QUALITY),
        ("the lead reads one that mentions health", cast.lead, health or plain, QUALITY),
    ]
    rows = [(what, purpose, *await _attempt(who, place, purpose)) for what, who, place, purpose in tries]
    story.screen.table(("who and what", "purpose", "answer", "why", "ledger entry"), rows)
    answers = [row[2] for row in rows]
    demand(answers == ["403 denied", "200 allowed", "403 denied"], "Policy did not answer as declared.")
    story.screen.facts(answers=answers)


async def act_decide(story: Story, cast: Cast) -> None:
    """A decision binds what it read to what came of it."""
    story.screen.act(
        "A decision",
        "Each conversation ends in a decision. It is opened, everything that the agent reads for it is\n"
        "bound to it, and it is sealed with its outcome. After that it takes nothing more.",
    )
    rows: dict[int, tuple[object, ...]] = {}

    async def one(numbered: tuple[int, Conversation]) -> None:
        number, told = numbered
        body = {"purpose": SUPPORT, "subject": told.subject, "agent": "support-bot"}
        decision = (await cast.agent.call("POST", "/v1/decisions", body))["id"]
        for place in told.reads:
            await read(cast.agent, place, SUPPORT, decision)
        sealed = await cast.agent.call(
            "POST",
            f"/v1/decisions/{decision}:seal",
            {"outcome": told.outcome, "output": told.messages[-1].content},
        )
        story.decisions[number] = decision
        demand(sealed["accesses"] == len(told.reads), "An access is missing from a decision.")
        rows[number] = (decision, sealed["accesses"], told.outcome, sealed["entry"])

    with story.screen.progress("decisions", len(story.data.conversations)) as steps:
        await every(one, enumerate(story.data.conversations, 1), steps)
    shown = [rows[number] for number in sorted(rows)[:_SHOWN]]
    story.screen.table(("decision", "bound reads", "outcome", "ledger entry"), shown)
    bound = sum(len(told.reads) for told in story.data.conversations)
    story.screen.output.line(f"{len(rows)} decisions sealed, {bound} accesses bound to them.")
    story.screen.facts(decisions=len(rows), accesses=bound)


async def act_prove(story: Story, cast: Cast) -> None:
    """Receipts verify with nothing but the file and the log's public key."""
    story.screen.act(
        "Receipt",
        "Each sealed decision has a receipt: its ledger entry, the proof that the entry is in the log, and\n"
        "the log's signed head. It is verified with the client's code alone: no service, no database.",
    )
    story.vkey = (await cast.auditor.call("GET", "/v1/ledger/key"))["vkey"]
    (story.folder / "vkey").write_text(story.vkey + "\n", "utf-8")
    story.receipt(1).parent.mkdir()
    rows: dict[int, tuple[object, ...]] = {}

    async def one(numbered: tuple[int, str]) -> None:
        number, decision = numbered
        path = f"/v1/decisions/{decision}/receipt"
        text = await patiently(lambda: cast.agent.call("GET", path))
        story.receipt(number).write_bytes(text.encode())
        report: Any = verify_file(story.receipt(number), [story.vkey]).report
        demand(report.ok, f"The receipt of decision {number} does not verify: {report.failures}")
        demand(report.entry["decision"] == decision, "A receipt speaks of another decision.")
        bound = len(story.data.conversations[number - 1].reads)
        demand(len(report.accesses) == bound, "A receipt does not name every access of its decision.")
        rows[number] = (
            story.receipt(number).name,
            f"{report.index} of {report.checkpoint.size}",
            report.entry["outcome"],
            len(report.accesses),
            "verified",
        )

    with story.screen.progress("receipts verified offline", len(story.decisions)) as steps:
        await every(one, story.decisions.items(), steps, at_once=8)
    shown = [rows[number] for number in sorted(rows)[:_SHOWN]]
    story.screen.table(("receipt", "entry", "outcome", "accesses", "offline"), shown)
    story.screen.output.line(f"{len(rows)} of {len(story.decisions)} receipts verify.")
    story.screen.facts(receipts_verified=len(rows))


async def _attempt(who: Any, place: Place, purpose: str) -> tuple[str, str, str]:  # noqa: ANN401
    try:
        found = await read(who, place, purpose)
    except Denied as refusal:
        why = ", ".join(refusal.rules) or "no grant allows it"
        return "403 denied", why, refusal.entry or ""
    return "200 allowed", "granted", found["entry"]
