"""What archives were asked for."""

from typing import Literal

from tenure.http.shapes.base import Shape, Time


class Retrieval(Shape):
    """Contents that are wanted soon: how many versions, and in how many packs some of them lie.

    `ready`, of `packs`: how many can be read now. `until`: when the first of what an archive gave out goes
    back. `retry_after`, in seconds, while it waits.
    """

    id: str
    state: Literal["waiting", "ready", "failed"]
    versions: int
    packs: int
    ready: int
    asked_at: Time
    until: Time | None = None
    retry_after: int | None = None


class Asked(Retrieval):
    """The same as it was asked for.

    `withheld` counts what was selected but policy does not let the caller read; `next` is the cursor of
    whatever else was selected: for another retrieval.
    """

    withheld: int
    next: str | None
    entry: str
