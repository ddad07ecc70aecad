"""Load over HTTP: `wrk`, one thread, keep-alive."""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench import servers
from bench.samples import Sample

_SCRIPT = Path(__file__).with_name("load.lua")


@dataclass(frozen=True)
class Requests:
    """What is sent: the same method to many keys. `keys` is how many exist; 0 makes each one new."""

    method: str
    path: str
    key: str
    keys: int
    headers: dict[str, str] = field(default_factory=dict)
    bodies: Sequence[str] = ()


def available() -> bool:
    """Whether the load generator is on this machine."""
    return shutil.which("wrk") is not None


def run(
    address: tuple[int, int], requests: Requests, *, connections: int, seconds: float, tag: str
) -> Sample:
    """One round against a server on loopback, given by port and process id.

    `tag` sets the keys of this round apart where they are new.

    Raises RuntimeError when any response was not 2xx: a fast refusal is not a result.
    """
    port, process_id = address
    headers = {"Host": f"127.0.0.1:{port}", "Connection": "keep-alive", **requests.headers}
    lines = [f"{name}: {value}" for name, value in headers.items()]
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as parts:
        parts.write("\n".join([*lines, "", *requests.bodies]) + "\n")
        parts.flush()
        keys = requests.key if requests.keys else f"{requests.key}{tag}-"
        options = ["-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "10s"]
        script = ["-s", str(_SCRIPT), f"http://127.0.0.1:{port}/", "--"]
        arguments = [requests.method, requests.path, keys, str(requests.keys), parts.name]
        before = servers.computed(process_id)
        done = subprocess.run(
            ["wrk", *options, *script, *arguments], capture_output=True, text=True, check=True
        )
        cpu = servers.computed(process_id) - before
    line = next(line for line in done.stdout.splitlines() if line.startswith("@@"))
    found = json.loads(line[2:])
    if found["status"] or found["socket"] or not found["requests"]:
        raise RuntimeError(
            f"{requests.method} {requests.path}: {found['status']} responses were not 2xx, "
            f"{found['socket']} connections failed, of {found['requests']} requests."
        )
    rate = found["requests"] / found["us"] * 1e6
    return Sample(rate, found["p50_us"] / 1e3, found["p99_us"] / 1e3, cpu / found["requests"] * 1e6)
