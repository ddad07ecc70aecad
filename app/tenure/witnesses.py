"""Asking witnesses to cosign a checkpoint (C2SP tlog-witness, the log's side).

No answer is waited for longer than `WAIT_S`, and none keeps anything from being published. A witness that
is down is left alone for a while, longer each time; one that refuses a log is left alone with that log.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Final

import httpx
import structlog

from tenure.errors import Invalid, TenureError, Unverified
from tenure.ledger.base64 import to_base64
from tenure.ledger.checkpoint import Checkpoint, peek_checkpoint
from tenure.ledger.cosignature import gather, merge
from tenure.ledger.quorum import Quorum, Witness
from tenure.ledger.witness import CONFLICT
from tenure.outbound import NO_PROXY
from tenure.tls import authorities

Prove = Callable[[int, int], list[bytes]]
"""(old size, new size) → consistency proof."""

WAIT_S = 2.0
AGAIN_S = 15.0
"""How long until the newest checkpoint is offered again where the quorum is not met."""

_FIRST_REST_S, _LONGEST_REST_S, _REFUSED_REST_S = 1.0, 60.0, 60.0
_AT_ONCE = 8
"""Logs about which one witness is asked side by side."""
_MAX_ANSWER = 64 << 10
_ROUNDS = 3
_OK: Final = 200
_SERVER_ERROR: Final = 500

_log = structlog.get_logger(__name__)


class _Refusal(TenureError):
    """A witness answered, and did not cosign. Never leaves this module."""


class Witnesses:
    """The witnesses of this cell. Called from threads."""

    def __init__(self, quorum: Quorum) -> None:
        self.quorum = quorum
        self.counts: Counter[tuple[str, str]] = Counter()
        """(witness's name, outcome) → how often: cosigned, refused, ahead, down."""
        self._client = httpx.Client(
            timeout=WAIT_S, follow_redirects=False, mounts=NO_PROXY, verify=authorities()
        )
        self._pool = ThreadPoolExecutor(_AT_ONCE * len(quorum.witnesses), thread_name_prefix="witness")
        self._lock = threading.Lock()
        self._sizes: dict[tuple[str, str], int] = {}
        self._rests: dict[tuple[str, str], tuple[float, float]] = {}

    def cosign(self, note: str, prove: Prove) -> str:
        """The checkpoint with what cosignatures came in time. Never raises for what a witness does."""
        checkpoint = peek_checkpoint(note)
        asked = {
            self._pool.submit(self._ask, witness, note, checkpoint, prove): witness
            for witness in self.quorum.missing(note)
            if not self._rests_now(witness, checkpoint.origin)
        }
        in_time, late = wait(asked, WAIT_S)
        for one in late:
            if not one.cancel():  # it is being asked; one that was not is not to blame for our queue
                self._rest(asked[one], "", "down", None)
        for one in in_time:
            note = merge(note, one.result())
        return note

    def any_awake(self) -> bool:
        """Whether there is a witness that is not left alone just now."""
        return any(not self._rests_now(witness, "") for witness in self.quorum.witnesses)

    def close(self) -> None:
        """Give the connections back."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._client.close()

    def _ask(self, witness: Witness, note: str, checkpoint: Checkpoint, prove: Prove) -> str:
        """The note with this witness's cosignature, or as it was."""
        name, origin = witness.key.name, checkpoint.origin
        begun = time.monotonic()
        try:
            got = self._exchange(witness, note, checkpoint, prove)
        except _Refusal as refusal:
            _log.error("a witness does not cosign", witness=name, origin=origin, reason=refusal.rule)
            self._rest(witness, origin, "ahead" if refusal.rule == "ahead" else "refused", _REFUSED_REST_S)
        except Exception as failure:  # noqa: BLE001 - whatever it is, the log goes on without this witness
            _log.warning("a witness was not reached", witness=name, error=type(failure).__name__)
            self._rest(witness, "", "down", None)
        else:
            with self._lock:
                self._sizes[name, origin] = checkpoint.size
                self._rests.pop((name, origin), None)
                if time.monotonic() - begun < WAIT_S:  # a slow one stays left alone
                    self._rests.pop((name, ""), None)
                self.counts[name, "cosigned"] += 1
            return got
        return note

    def _exchange(self, witness: Witness, note: str, checkpoint: Checkpoint, prove: Prove) -> str:
        old = self._sizes.get((witness.key.name, checkpoint.origin), 0)
        for _ in range(_ROUNDS):
            # What we remember may be of an ended process of the witness, or ahead of this checkpoint.
            old = old if old <= checkpoint.size else 0
            head = [f"old {old}", *map(to_base64, prove(old, checkpoint.size))]
            status, answer = self._post(witness, "\n".join(head) + "\n\n" + note)
            if status == _OK:
                try:
                    return gather(note, answer, [witness.key])
                except Unverified as failure:
                    raise _Refusal(failure.detail, rule=failure.check) from None
            if status != CONFLICT:
                break
            size = answer.removesuffix("\n")
            if not (size.isascii() and size.isdecimal()) or int(size) > checkpoint.size:
                # Another process of this cell may have published more meanwhile; else it was rolled back.
                raise _Refusal("The witness cosigned a larger size.", rule="ahead")
            old = int(size)
        if status >= _SERVER_ERROR:
            raise httpx.HTTPError("server error")
        raise _Refusal("The witness refused.", rule=f"status {status}")

    def _post(self, witness: Witness, body: str) -> tuple[int, str]:
        with self._client.stream("POST", f"{witness.url}/add-checkpoint", content=body.encode()) as answer:
            raw = bytearray()
            for part in answer.iter_bytes():
                raw += part
                if len(raw) > _MAX_ANSWER:
                    raise httpx.HTTPError("the answer is too long")
            return answer.status_code, raw.decode("utf-8", "replace")

    def _rests_now(self, witness: Witness, origin: str) -> bool:
        now = time.monotonic()
        with self._lock:
            rests = (self._rests.get((witness.key.name, one), (0.0, 0.0))[0] for one in (origin, ""))
            return any(until > now for until in rests)

    def _rest(self, witness: Witness, origin: str, outcome: str, length: float | None) -> None:
        """Leave it alone for `length` seconds; None: twice as long as the last time."""
        key = (witness.key.name, origin)
        with self._lock:
            self.counts[witness.key.name, outcome] += 1
            last = self._rests.get(key, (0.0, _FIRST_REST_S / 2))[1]
            length = min(2 * last, _LONGEST_REST_S) if length is None else length
            self._rests[key] = (time.monotonic() + length, length)


def read_quorum(path: str) -> Quorum | None:
    """The witnesses of a file; None for the empty path. Raises `Invalid`."""
    if not path:
        return None
    try:
        text = Path(path).read_text("utf-8")
    except (OSError, ValueError):
        raise Invalid(
            "The file of witnesses cannot be read; nothing was opened.",
            field="TENURE_WITNESSES",
            rule="a file as docs/witness.md says",
        ) from None
    try:
        return Quorum.parse(text)
    except Invalid as wrong:
        wrong.field = f"TENURE_WITNESSES {wrong.field}"
        raise
