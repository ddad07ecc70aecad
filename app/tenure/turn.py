"""What a long piece of work sees of the run that it is done in: whether it may go on (`jobs.job.Run`)."""

from collections.abc import Callable
from typing import Protocol, TypeVar

from tenure.store.session import Tx

R = TypeVar("R")


class GivenUp(Exception):
    """The run ends here: its process stops, or it was taken over from. Not a failure."""


class Turn(Protocol):
    """One run of a job. Whoever changes something asks `confirm` in the same transaction."""

    def check(self) -> None:
        """Between two steps: GivenUp when this process must not go on."""
        ...

    def confirm(self, tx: Tx) -> None:
        """In a transaction: GivenUp when somebody else may be at it by now."""
        ...

    async def in_thread(self, work: Callable[..., R], *args: object) -> R:
        """Run blocking work; a stop waits for its end."""
        ...
