"""How the story is shown: a heading, a sentence or two and a table for each act; bars for long work."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from tenure.cli.output import Output

ACTS = 8
_LONG = 100
_RULE = 108


class StoryFailedError(Exception):
    """Something in the story did not come true."""


@dataclass(slots=True)
class Screen:
    """Shows acts and keeps their facts for --json."""

    output: Output
    acts: list[dict[str, Any]] = field(default_factory=list)

    def act(self, title: str, explanation: str) -> None:
        """Begin the next act."""
        number = len(self.acts) + 1
        self.acts.append({"act": number, "title": title, "facts": {}})
        heading = f"── Act {number} of {ACTS}: {title} "
        self.output.line()
        self.output.line(heading.ljust(_RULE, "─"))
        self.output.line(explanation)
        self.output.line()

    def facts(self, **facts: Any) -> None:  # noqa: ANN401 - any JSON
        """Keep what the present act showed."""
        self.acts[-1]["facts"].update(facts)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """The act's table."""
        self.output.table(columns, rows)

    @contextmanager
    def progress(self, what: str, total: int) -> Iterator["Steps"]:
        """A bar on a terminal, a plain line elsewhere; nothing for what is done at once."""
        if total < _LONG or self.output.as_json:
            yield Steps()
        elif not self.output.console.is_terminal:
            self.output.line(f"{what}: {total} …")
            yield Steps()
        else:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
            with Progress(*columns, console=self.output.console, transient=True) as bar:
                task = bar.add_task(what, total=total)
                yield Steps(lambda: bar.advance(task))


class Steps:
    """Counts done steps."""

    def __init__(self, advance: Any = None) -> None:  # noqa: ANN401 - a callback or nothing
        self._advance = advance

    def done(self) -> None:
        """One more."""
        if self._advance is not None:
            self._advance()


def demand(true: object, sentence: str) -> None:
    """The story goes on only if this is so."""
    if not true:
        raise StoryFailedError(sentence)
