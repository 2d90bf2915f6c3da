"""Whether the ports that a local stack wants are free.

    python3 -m scripts.ports --port 4566    # before anything is installed

This file uses the standard library only.
"""

from __future__ import annotations

import argparse
import socket
import sys

from scripts.environment import HOST, ROOT
from scripts.processes import Failure

DEFAULT_PORT = 4566


def free_port(wanted: int, variable: str) -> int:
    """The wanted port, or for 0 any; fails when somebody else has it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, wanted))
        except OSError as error:
            raise Failure(
                f"{variable} {wanted} cannot be used: {error.strerror}",
                f"see who has it: ss -ltnp 'sport = :{wanted}'; "
                f"or take another one: {variable}=0 picks a free one",
            ) from None
        return int(probe.getsockname()[1])


def port(text: str) -> int:
    """A port on the command line; none is the default one."""
    if not text:
        return DEFAULT_PORT
    if not (text.isascii() and text.isdigit() and int(text) < 65536):
        raise argparse.ArgumentTypeError(f"a number from 0 to 65535 is wanted, not {text!r}")
    return int(text)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Those that say where a stack listens, and where it notes that it does."""
    parser.add_argument("--port", type=port, default=DEFAULT_PORT, help="MiniStack's; 0: any")
    parser.add_argument("--watch-port", type=port, default=9000, help="of watch; 0: any")
    parser.add_argument("--local-dir", default=".local", help="where the stack writes everything")


def main() -> int:
    """Check them, unless a stack of this LOCAL_DIR may be the one that has them."""
    parser = argparse.ArgumentParser(description="Whether the ports are free.")
    parser.add_argument("command", choices=("up", "run", "watch"))
    add_options(parser)
    options = parser.parse_args()
    if (ROOT / options.local_dir / "stack.json").exists():
        return 0
    try:
        free_port(options.port, "PORT")
        if options.command == "watch":
            free_port(options.watch_port, "WATCH_PORT")
    except Failure as failure:
        print(f"error: {failure}\nnext:  {failure.next_step}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
