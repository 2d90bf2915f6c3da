"""What stands in for Lambda's image where there is no registry to get it from.

`sam local` adds the runtime interface emulator to `public.ecr.aws/lambda/provided:al2023`
and runs the function in it. The stand-in has that name and this machine's own C library, so
it shows how sam runs the functions, and not that they get on with Amazon Linux; that is what
the release build is for, which is linked for the C library of Amazon Linux.
"""

from __future__ import annotations

import io
import re
import subprocess
import tarfile
import tempfile
from pathlib import Path

from scripts.environment import architecture
from scripts.processes import Failure

NAME = "public.ecr.aws/lambda/provided:al2023"
NEWEST_GLIBC = (2, 34)  # of Amazon Linux 2023


def make(docker: Path, engine: Path, busybox: Path, binaries: list[Path]) -> None:
    """Import the stand-in into the engine that listens at a socket: a shell, mv and chmod for
    sam, and the libraries of the binaries.
    """
    with tempfile.TemporaryFile() as archive:
        with tarfile.open(fileobj=archive, mode="w") as tar:
            tar.add(busybox, "bin/busybox")
            for name in ("sh", "mv", "chmod"):
                link = tarfile.TarInfo(f"bin/{name}")
                link.type, link.linkname = tarfile.SYMTYPE, "busybox"
                tar.addfile(link)
            # Without it glibc asks DNS before it looks into /etc/hosts, where sam puts names.
            text = b"hosts: files dns\n"
            switch = tarfile.TarInfo("etc/nsswitch.conf")
            switch.size = len(text)
            tar.addfile(switch, io.BytesIO(text))
            for library in sorted(set().union(*map(_libraries, binaries))):
                tar.add(library.resolve(), str(library))
        archive.seek(0)
        command = [str(docker), "--host", f"unix://{engine}", "import"]
        command += ["--change", "WORKDIR /var/task", "-", f"{NAME}-{architecture()}"]
        done = subprocess.run(
            command,
            stdin=archive,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    if done.returncode != 0:
        raise Failure(f"the image could not be made: {done.stderr}", "look at logs/dockerd.log")


def _libraries(binary: Path) -> set[Path]:
    """The shared libraries that the loader finds for a binary, the loader itself included."""
    done = subprocess.run(["ldd", binary], capture_output=True, text=True, timeout=20, check=False)
    found = re.findall(r"(?:=> )?(/\S+) \(0x", done.stdout)
    return {Path(library) for library in found}


def needs_newer_glibc(binary: Path) -> str | None:
    """The version of the C library that a binary needs, if Lambda's is older."""
    versions = re.findall(rb"GLIBC_(\d+)\.(\d+)", binary.read_bytes())
    newest = max(((int(major), int(minor)) for major, minor in versions), default=(0, 0))
    return f"{newest[0]}.{newest[1]}" if newest > NEWEST_GLIBC else None
