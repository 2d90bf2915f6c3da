"""Forward TCP connections: python -m scripts.forward FROM TO, until it is ended.

An end is an address such as 127.0.0.1:4566, or the path of a Unix socket, which also leads
from one network namespace into another.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys

CHUNK = 65536


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Everything until the end, which is passed on."""
    with contextlib.suppress(OSError):
        while data := await source.read(CHUNK):
            sink.write(data)
            await sink.drain()
        sink.write_eof()


async def _serve(listen: str, to: str) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError):
            if to.startswith("/"):
                answers, requests = await asyncio.open_unix_connection(to)
            else:
                host, _, port = to.rpartition(":")
                answers, requests = await asyncio.open_connection(host, int(port))
            with contextlib.closing(requests):
                await asyncio.gather(_copy(reader, requests), _copy(answers, writer))

    if listen.startswith("/"):
        server = await asyncio.start_unix_server(connected, listen)
    else:
        host, _, port = listen.rpartition(":")
        server = await asyncio.start_server(connected, host, int(port))
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(*sys.argv[1:]))
