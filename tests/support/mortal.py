"""A process that carries a graph's thread on, and kills itself at the next point where none died before.

Started as `python mortal.py FILE` with JSON: `saver` (`savers.Told`), `graph`, `thread`, `deadly` (the kinds
of points that kill), and `diary`: a file, to which each line is appended and synced before the next thing:

    begin WHO TASK    a node begins            end WHO TASK    it returns
    kept TASK         its writes are acknowledged
    kept-all NS       a snapshot of the namespace is: of `top`, with all that had ended before
    died POINT        the last words of a process
    final JSON        the thread is at its end: state and history

Points are the beginning of each `node`, and right after each acknowledged `put` and `writes`.
"""

import asyncio
import functools
import json
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from langgraph.checkpoint.base import WRITES_IDX_MAP

from support import graphs, savers

_TASK = re.compile(r":[0-9a-f-]{36}")


class SyncedDiary:
    """Lines that are on the disk when `say` returns."""

    def __init__(self, path: Path, deadly: Sequence[str]) -> None:
        self._deadly = deadly
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        lines = path.read_text().splitlines()
        self._speaking = threading.RLock()  # nodes run in threads; who dies has the last word
        self._died = {line.removeprefix("died ") for line in lines if line.startswith("died ")}

    def say(self, *words: str) -> None:
        with self._speaking:
            os.write(self._file, (" ".join(words) + "\n").encode())
            os.fsync(self._file)

    def point(self, kind: str, *words: str) -> None:
        """Die here, unless somebody did before."""
        name = "/".join((kind, *(_TASK.sub("", word) for word in words)))
        if kind in self._deadly and name not in self._died:
            with self._speaking:
                self.say("died", name)
                os.kill(os.getpid(), signal.SIGKILL)

    def begin(self, who: str, task: str) -> None:
        self.say("begin", who, task)
        self.point("node", who)

    def end(self, who: str, task: str) -> None:
        self.say("end", who, task)


def make_deadly(saver: Any, diary: SyncedDiary) -> None:
    """Have this saver's acknowledgements noted, and be followed by death."""
    put, put_writes = saver.aput, saver.aput_writes

    def namespace(config: Any) -> str:
        return config["configurable"].get("checkpoint_ns") or "top"

    @functools.wraps(put)
    async def aput(config: Any, checkpoint: Any, metadata: Any, new_versions: Any) -> Any:
        stored = await put(config, checkpoint, metadata, new_versions)
        diary.say("kept-all", namespace(config))
        diary.point("put", namespace(config), str(metadata["step"]))
        return stored

    @functools.wraps(put_writes)
    async def aput_writes(
        config: Any, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        await put_writes(config, writes, task_id, task_path)
        channels = {channel for channel, _ in writes}
        if channels - set(WRITES_IDX_MAP):
            diary.say("kept", task_id)
        diary.point("writes", namespace(config), task_path.replace(" ", ""), *sorted(channels))

    saver.aput, saver.aput_writes = aput, aput_writes


async def main(given: dict[str, Any]) -> None:
    diary = SyncedDiary(Path(given["diary"]), given["deadly"])
    build: Callable[[Any], graphs.Graph] = graphs.GRAPHS[given["graph"]]
    async with savers.opened(given["saver"]) as saver:
        make_deadly(saver, diary)
        graph = build(diary).compile(checkpointer=saver)
        config: Any = {"configurable": {"thread_id": given["thread"]}}
        state = await graphs.carry_on(graph, config)
        past = await graphs.history(graph, config)
    diary.say("final", json.dumps([state, past]))


if __name__ == "__main__":
    asyncio.run(main(json.loads(Path(sys.argv[1]).read_text())))
