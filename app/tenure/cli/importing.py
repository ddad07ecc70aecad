"""`tenure import`: what agents have kept elsewhere, put where it is governed (docs/import.md)."""

import functools
import inspect
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from tenure.cli.governing import ApiKey, Url
from tenure.cli.options import PLACES, Given, Json, takes_settings, with_parameters
from tenure.cli.output import NO, Output, answering, bar, wrong_use
from tenure.errors import Invalid, TenureError

if TYPE_CHECKING:
    from tenure.client import Client
    from tenure.imports.journal import Journal
    from tenure.imports.report import Refusal, Report
    from tenure.imports.run import Shown

app = typer.Typer(no_args_is_help=True, help="Bring in what agents have kept elsewhere.")

_Source = Annotated[
    str, typer.Argument(metavar="SOURCE", help="A SQLite file, or postgresql://user@host/database.")
]
_Lines = Annotated[Path, typer.Argument(metavar="FILE", help="One JSON object a line.")]
_MappingFile = Annotated[
    Path, typer.Option("--mapping", metavar="FILE", help="What goes where, and whom it is about (YAML).")
]
_DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Read and map everything; write nothing, ask no service.")
]
_Resume = Annotated[
    bool,
    typer.Option("--resume", help="Go on where an earlier import ended; what it refused is tried again."),
]
_JournalFile = Annotated[
    Path | None,
    typer.Option(
        "--journal", metavar="FILE", help="What was written already; beside the mapping if left out."
    ),
]
_ReportFile = Annotated[
    Path | None,
    typer.Option("--report", metavar="FILE", help="Keep the report, with every refusal, as JSON."),
]
_AtOnce = Annotated[
    int, typer.Option("--at-once", min=1, max=64, metavar="N", help="So many are at work together.")
]
_RETRIES: Final = 8
"""An import waits longer than an agent does."""
_MOST_ROWS: Final = 50


@dataclass(frozen=True, slots=True)
class Work:
    """One import: what its command says, and what it works with. `client` is None for a dry run."""

    mapping: Any
    folder: Path
    journal: "Journal"
    client: "Client | None"
    report: "Report"
    shown: "Shown"
    at_once: int


Verb = Callable[..., None]


def _importing(kind: str, unit: str, mapping_class: str) -> Callable[[Verb], Verb]:
    """A command from `verb(work, source)`: options, journal, client, report and exit code."""

    def wrap(verb: Verb) -> Verb:
        @takes_settings(*PLACES)
        def command(
            given: Given,
            mapping: _MappingFile,
            dry_run: _DryRun = False,
            resume: _Resume = False,
            journal: _JournalFile = None,
            report: _ReportFile = None,
            at_once: _AtOnce = 8,
            api_key: ApiKey = None,
            url: Url = None,
            as_json: Json = False,
            **values: Any,  # noqa: ANN401 - the source
        ) -> None:
            output = Output(as_json=as_json)
            if not api_key and not dry_run:
                wrong_use(output, "Whose rights? Give --api-key or set TENURE_API_KEY. Nothing was done.")
            # Once something is looked at, what is invalid ends in the report.
            with _installed(output), answering(output, wrong=Invalid), ExitStack() as stack:
                from tenure.imports import mapping as mappings  # noqa: PLC0415 - needs the extra `import`
                from tenure.imports.journal import Journal  # noqa: PLC0415 - see above
                from tenure.imports.report import Report  # noqa: PLC0415 - see above
                from tenure.imports.sources import name_of  # noqa: PLC0415 - see above

                (source,) = values.values()
                rules = mappings.read_mapping(mapping, getattr(mappings, mapping_class))
                told = Report(kind, unit, dry_run)
                _writable(report)
                # Where to is part of what a journal is of: it says what is written *there*.
                about = (kind, name_of(str(source)), "" if dry_run and not resume else _named(url, given))
                begin = Journal.dry if dry_run else Journal.begin
                path = journal or mapping.with_name(f"{mapping.stem}.{kind}.journal")
                kept = stack.enter_context(begin(path, about, resume=resume))
                client = None if dry_run else _client(stack, api_key or "", url, given, rules.purpose)
                with _telling(output, told, report), bar(output) as shown:
                    verb(Work(rules, mapping.parent, kept, client, told, shown, at_once), **values)
            if not told.ok:
                raise typer.Exit(NO)

        mine = [one for one in inspect.signature(command).parameters.values() if one.name != "values"]
        functools.update_wrapper(command, verb)
        return with_parameters(command, verb, mine, drop={"work"})

    return wrap


@app.command()
@_importing("checkpoints", "threads", "ThreadsMapping")
def checkpoints(work: Work, source: _Source) -> None:
    """Threads of LangGraph's SqliteSaver or PostgresSaver: every snapshot and what was pending on it."""
    from tenure.imports.labels import Labeller  # noqa: PLC0415 - needs the extra `import`
    from tenure.imports.saved import open_saved  # noqa: PLC0415 - see above
    from tenure.imports.sources import opened  # noqa: PLC0415 - see above
    from tenure.imports.threads import THREAD, import_threads  # noqa: PLC0415 - see above

    labeller = Labeller(work.mapping, work.folder, table_by=THREAD)
    saver = None if work.client is None else _savers(work.client, work.mapping.purpose)
    with opened(source) as database:
        saved = open_saved(database, work.mapping.classes)
        import_threads(saved, labeller, work.journal, saver, work.report, work.shown, work.at_once)


@app.command()
@_importing("store", "items", "ItemsMapping")
def store(work: Work, source: _Source) -> None:
    """Items of LangGraph's SqliteStore or PostgresStore."""
    from tenure.imports.items import import_items, open_stored  # noqa: PLC0415 - needs the extra `import`
    from tenure.imports.labels import Labeller  # noqa: PLC0415 - see above
    from tenure.imports.sources import opened  # noqa: PLC0415 - see above

    labeller = Labeller(work.mapping, work.folder)
    into = None if work.client is None else _stores(work.client, work.mapping.purpose)
    with opened(source) as database:
        import_items(
            open_stored(database), labeller, work.journal, into, work.report, work.shown, work.at_once
        )


@app.command()
@_importing("jsonl", "lines", "LinesMapping")
def jsonl(work: Work, file: _Lines) -> None:
    """A file with one JSON object a line: each becomes a record."""
    from tenure.imports.lines import import_lines  # noqa: PLC0415 - needs the extra `import`

    import_lines(
        file, work.mapping, work.folder, work.journal, work.client, work.report, work.shown, work.at_once
    )


def _savers(client: "Client", purpose: str) -> Callable[[Any], Any]:
    from tenure.imports.sources import library  # noqa: PLC0415 - see above

    @functools.cache
    def opened(place: Any) -> Any:  # noqa: ANN401 - a place, and LangGraph's interface
        made = library("tenure.client.langgraph").TenureSaver
        return made(client, scope=place.scope, categories=list(place.categories), purpose=purpose)

    return opened


def _stores(client: "Client", purpose: str) -> Callable[[Any, tuple[str, ...]], Any]:
    from tenure.imports.sources import library  # noqa: PLC0415 - see above

    def opened(place: Any, subjects: tuple[str, ...]) -> Any:  # noqa: ANN401 - see above
        made = library("tenure.client.langgraph_store").TenureStore
        labels = {"scope": place.scope, "categories": list(place.categories), "purpose": purpose}
        return made(client, **labels, subjects=list(subjects))

    return opened


def _client(stack: ExitStack, api_key: str, url: str | None, given: Given, purpose: str) -> "Client":
    from tenure.opening import open_client  # noqa: PLC0415 - only a run that writes needs it

    if url:
        opened = open_client(url, api_key, purpose=purpose, retries=_RETRIES)
    else:
        from tenure.logs import log_for_people  # noqa: PLC0415 - not in the bare install

        log_for_people("warning")
        # The cell's jobs are for whoever serves.
        settings = given.settings(cell_jobs=False)
        target = settings.database_url or settings.data_dir
        more = settings.model_dump(exclude={"data_dir", "database_url"})
        opened = open_client(target, api_key, purpose=purpose, retries=_RETRIES, settings=more)
    return stack.enter_context(opened)


def _named(url: str | None, given: Given) -> str:
    """What tells one place to write to from another, without a password."""
    from tenure.imports.sources import name_of  # noqa: PLC0415 - see above

    if url:
        return url.rstrip("/")
    settings = given.settings()
    return name_of(settings.database_url) if settings.database_url else str(settings.data_dir.resolve())


@contextmanager
def _installed(output: Output) -> Iterator[None]:
    """What reads mappings is not in the bare install."""
    try:
        import pydantic  # noqa: F401, PLC0415 - whether it is there
        import yaml  # noqa: F401, PLC0415 - see above
    except ModuleNotFoundError:
        wrong_use(output, "This command needs what reads mappings and sources: pip install 'tenure[import]'")
    yield


def _writable(report: Path | None) -> None:
    try:
        if report is not None:
            report.touch()
    except OSError:
        raise Invalid(
            "The report cannot be written. Nothing was imported.",
            field="--report",
            rule="a file that can be written",
            remedy="Name another file.",
        ) from None


@contextmanager
def _telling(output: Output, report: "Report", path: Path | None) -> Iterator[None]:
    """The report is told however the import ends, unless nothing was looked at."""
    from tenure.imports.report import Refusal  # noqa: PLC0415 - see above

    try:
        yield
    except TenureError as failure:
        if report.stopped is None and not report.counts:
            raise
        report.stopped = report.stopped or Refusal.of("the source", failure)
    _show(output, report, path)


def _show(output: Output, report: "Report", path: Path | None) -> None:
    document = report.as_json()
    if path is not None:
        path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    output.document(document)
    if output.as_json:
        return
    rows = [(name.replace("_", " "), count) for name, count in document["counts"].items()]
    output.table(("", report.unit), [*rows, *report.parts.items()])
    for rule, count in sorted(report.skipped.items()):
        output.line(f"skipped by {rule}: {count}")
    refused = [_row(one) for one in report.refusals[:_MOST_ROWS]]
    if refused:
        output.table(("where", "field", "why", "what to do"), refused, title="Refused")
    left = document["counts"]["refused"] - len(refused)
    if left:
        output.line(f"and {left} more (--report FILE lists up to ten thousand)")
    if report.stopped is not None:
        output.table(("where", "field", "why", "what to do"), [_row(report.stopped)], title="Stopped at")
        output.line("What was written stays. Go on with --resume.")
    if report.dry_run:
        output.line("A dry run: nothing was written, and no service was asked what its policy says.")


def _row(refusal: "Refusal") -> tuple[str, str, str, str]:
    return refusal.place, refusal.field or refusal.rule or "", refusal.why, refusal.remedy or ""
