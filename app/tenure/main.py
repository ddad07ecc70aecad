"""The server: one process, one worker, HTTP/1.1.

Granian's Rust side reads and writes sockets on a thread of its own; requests run on the main thread's loop,
beside the batcher and the sequencer. One process, so that a signal, kind or not, always meets all of it.
"""

import asyncio
import gc
import signal

import structlog
from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server

from tenure.bootstrap import open_tenure
from tenure.coredumps import refuse_core_dumps
from tenure.http.app import create_app
from tenure.logs import log_as_json
from tenure.settings import Settings

_BACKLOG = 4096
"""Connections that may wait, and requests under way at once: Granian's defaults stop near a thousand."""
_YOUNG = 10_000
"""Objects that may be made before the collector looks: a batch makes some thousand, and frees them itself."""


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; then answer what is under way and end the writers on record."""
    refuse_core_dumps()  # before any key is opened
    asyncio.run(serve(settings))


async def serve(settings: Settings) -> None:
    """The same inside a running loop."""
    async with open_tenure(settings) as tenure:
        server = Server(
            create_app(tenure),
            address=settings.host,
            port=settings.port,
            interface=Interfaces.ASGI,
            http=HTTPModes.http1,
            websockets=False,
            backlog=_BACKLOG,
            backpressure=_BACKLOG,
            # Its own handlers would print what applications raise.
            log_dictconfig={"handlers": {}, "formatters": {}, "loggers": {"_granian": {"propagate": True}}},
        )
        log_as_json(settings.log_level)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, server.stop)
        structlog.get_logger(__name__).info("serving", host=settings.host, port=settings.port)
        settle_memory()
        await server.serve()
        structlog.get_logger(__name__).info("stopping")


def settle_memory() -> None:
    """Take what start-up built out of the garbage collector's sight, and let it look less often.

    A full collection walks every object there is, libraries included: tens of milliseconds in the middle of
    requests, which is what their 99th percentile was made of.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, 20, 50)


if __name__ == "__main__":
    run(Settings())
