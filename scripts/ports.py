"""Check that the port for a local stack is free.

    python3 -m scripts.ports PORT LOCAL_DIR    # before anything is installed

This file uses the standard library only.
"""

import argparse
import socket
import sys

from scripts.environment import HOST, ROOT
from scripts.processes import Failure

DEFAULT_PORT = 4566


def free_port(wanted: int, variable: str) -> int:
    """The wanted port, or any port for 0; fails if another process uses it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, wanted))
        except (OSError, OverflowError) as error:
            raise Failure(
                f"{variable} {wanted} cannot be used: {error}",
                f"see who has it: ss -ltnp 'sport = :{wanted}'; "
                f"or take another one: {variable}=0 picks a free one",
            ) from None
        return int(probe.getsockname()[1])


def main() -> int:
    """Check the port, unless a stack of this LOCAL_DIR may be using it."""
    parser = argparse.ArgumentParser(description="Whether the port is free.")
    parser.add_argument("port", type=int)
    parser.add_argument("local_dir")
    options = parser.parse_args()
    try:
        if not (ROOT / options.local_dir / "stack.env").exists():
            free_port(options.port, "PORT")
    except Failure as failure:
        return failure.show()
    return 0


if __name__ == "__main__":
    sys.exit(main())
