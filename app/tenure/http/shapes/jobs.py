"""Jobs of the cell."""

from typing import Literal

from tenure.http.shapes.base import Shape, Time


class Job(Shape):
    """Something that happens by itself, and how it went last.

    `single`: one run at a time in the cell. `state`: `left` when the process that ran it is gone. `counts`
    are numbers of its last run that ended. `failures` are those in a row. `process` is a process's tag.
    """

    name: str
    describe: str
    every_s: float
    single: bool
    state: Literal["running", "waiting", "left"]
    outcome: Literal["ok", "failed", "stopped"] | None
    error: str | None
    counts: dict[str, int]
    duration_s: float | None
    started_at: Time | None
    finished_at: Time | None
    succeeded_at: Time | None
    next_at: Time | None
    runs: int
    failures: int
    process: str | None


class Jobs(Shape):
    """All jobs."""

    items: list[Job]


class JobRan(Shape):
    """How a run went; `lost`: another process took over in the middle of it."""

    name: str
    outcome: Literal["ok", "failed", "stopped", "lost"]
    error: str | None
    counts: dict[str, int]
    duration_s: float
