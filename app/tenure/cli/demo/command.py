"""`tenure demo`: set the stage, tell the acts in order, say where the proof lies."""

import asyncio
import tempfile
from pathlib import Path
from shlex import quote
from shutil import rmtree
from typing import Annotated, Any

import typer

from tenure.cli.demo import airline, dataset
from tenure.cli.demo.screen import Screen, StoryFailedError
from tenure.cli.options import Given, Json
from tenure.cli.output import NO, Output, answering, this_program, wrong_use


def demo(
    keep: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Leave the store here, with its credentials, ready for `tenure serve`."
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", exists=True, file_okay=False, help="Tell it with tau-bench's airline data."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Tell the whole story on a fresh embedded store: write, read, denial, receipt, erasure, restore."""
    output = Output(as_json=as_json)
    if keep is not None and keep.exists() and (not keep.is_dir() or any(keep.iterdir())):
        wrong_use(output, f"{keep} is there already and not empty. Name a new folder; nothing was done.")
    with answering(output):
        told = airline.load(data) if data is not None else dataset.shipped()
        folder = keep if keep is not None else Path(tempfile.mkdtemp(prefix="tenure-demo-"))
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        screen = Screen(output)
        try:
            vkey, receipt = _tell(told, folder, screen)
        except StoryFailedError as failure:
            output.document({"ok": False, "failed": str(failure), "acts": screen.acts})
            output.line(f"The story fails: {failure}")
            raise typer.Exit(NO) from failure
        finally:
            if keep is None:
                rmtree(folder / "data", ignore_errors=True)
                rmtree(folder / "root", ignore_errors=True)
    command = f"{quote(this_program())} verify {quote(str(receipt))} --vkey {quote(vkey)}"
    output.line()
    output.line("The story holds. The receipt of the first decision lies in")
    output.line(f"  {receipt}")
    output.line("and this verifies it, on any machine with the client installed, without this store:")
    output.line(f"  {command}")
    if keep is not None:
        output.line("Serve what is left, with the keys in credentials.json:")
        places = f"--data-dir {quote(str(folder / 'data'))} --root-dir {quote(str(folder / 'root'))}"
        output.line(f"  {quote(this_program())} serve {places}")
    output.document(
        {"ok": True, "acts": screen.acts, "receipt": str(receipt), "vkey": vkey, "verify": command}
    )


def _tell(told: dataset.DataSet, folder: Path, screen: Screen) -> tuple[str, Path]:
    """All acts: (the log's key, the path of a receipt)."""
    from tenure.bootstrap import prepare  # noqa: PLC0415 - not in the bare install
    from tenure.cli.demo import cast  # noqa: PLC0415 - needs no server, but only this path needs it
    from tenure.cli.demo.afterwards import act_back_up, act_erase, act_restore, put_back  # noqa: PLC0415
    from tenure.cli.demo.life import (  # noqa: PLC0415
        Story,
        act_decide,
        act_prove,
        act_read,
        act_refuse,
        act_write,
    )

    settings = Given({}).settings(
        data_dir=folder / "data",
        root_dir=folder / "root",
        database_url="",
        migration_url="",
        objects_url="",
        mirror_url="",
        object_lock="",
        object_lock_days=0,
        shred_interval_s=0,
    )
    story = Story(told, folder, screen)
    screen.output.line(f"Tenure, told with {told.title}, on an embedded store in {folder}")

    async def before(keys: cast.Keys) -> None:
        async with cast.on_stage(settings, keys) as players:
            await act_write(story, players)
            await act_read(story, players)
            await act_refuse(story, players)
            await act_decide(story, players)
            await act_prove(story, players)

    async def with_cell(act: Any, keys: cast.Keys) -> None:  # noqa: ANN401 - one act
        async with cast.on_stage(settings, keys) as players:
            await act(story, players)

    operator = prepare(settings)
    if operator is None:
        raise StoryFailedError("The folder held a cell already.")
    keys = asyncio.run(cast.assemble(settings, operator))
    keys.keep(folder / "credentials.json")
    asyncio.run(before(keys))
    copy = act_back_up(story, settings)
    asyncio.run(with_cell(act_erase, keys))
    put_back(copy, settings)
    asyncio.run(with_cell(act_restore, keys))
    return story.vkey, story.receipt(1)
