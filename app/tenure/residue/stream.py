"""A container that began somewhere: decompressed as its bytes come, and what is inside of it handed on."""

from collections.abc import Callable
from typing import Final

from tenure.residue.containers import Kind
from tenure.residue.inflate import Decompressor, State
from tenure.residue.tally import Tally

_EXPANDS: Final = 1.1
"""Text that somebody compressed got smaller by at least this; noise that decodes did not."""
_PROBLEMS: Final = {State.BROKE: "damaged", State.REFUSED: "needs-memory"}
_CERTAIN: Final = ("too-deep", "needs-memory")


class Stream:
    """Decompresses one container. `inside` takes what comes out, or is None where that lies too deep."""

    def __init__(
        self,
        kind: Kind,
        decompressor: Decompressor,
        begin: int,
        tally: Tally,
        gap: Callable[[str], None],
        inside: Callable[[bytes], None] | None,
    ) -> None:
        """`begin` is where in the layer its mark stands; `gap` is told why it was not looked into."""
        self.begin = begin
        self._kind = kind
        self._decompressor = decompressor
        self._tally = tally
        self._gap = gap
        self._inside = inside
        self._skipped = 0
        self._skip = 0
        self._given = 0

    def feed(self, data: memoryview, skip: int = 0) -> bool:
        """Take the next bytes of the layer, without the first `skip`. False when the stream is over."""
        self._skip += skip
        self._skipped += skip
        used, self._skip = data[self._skip :], max(0, self._skip - len(data))
        for piece in self._decompressor.pieces(used):
            if piece and not self._pass(piece):
                return False
        if self._decompressor.state is State.GOES_ON:
            return True
        self._end(_PROBLEMS.get(self._decompressor.state, ""))
        return False

    def close(self) -> None:
        """The layer ended before the stream did."""
        self._end("cut-short")

    @property
    def end(self) -> int | None:
        """Where in the layer it ended as it should; None when it did not, or not yet."""
        ended = self._decompressor.state is State.ENDED and self._given
        return self.begin + self._skipped + self._decompressor.taken if ended else None

    def _pass(self, piece: bytes) -> bool:
        """Hand on what came out. False when that must not go on."""
        if not self._given and not self._tally.opened():
            self._gap("too-many-open")
            return False
        self._given += len(piece)
        over = not self._tally.expand(len(piece))
        if over or (self._inside is None and self._is_one()):
            self._gap("unpack-limit" if over else "too-deep")
            self._tally.closed()
            return False
        if self._inside is not None:
            self._inside(piece)
        return True

    def _end(self, problem: str) -> None:
        if not problem and self._inside is None and self._given:
            problem = "too-deep"
        if problem and (problem in _CERTAIN or self._is_one()):
            self._gap(problem)
        if self._given:
            self._tally.closed()

    def _is_one(self) -> bool:
        """Whether this is a container, or only bytes that look like the beginning of one."""
        if self._kind.proof <= 1:
            return self._given >= self._kind.proof
        return self._given >= self._kind.proof and self._given > _EXPANDS * self._decompressor.taken
