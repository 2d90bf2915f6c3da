"""Bodies that the service takes, from the files of tests/bodies.

sample.json is the body of nearly every test, with another text in the place of VALUE where
bodies must differ. The others must come back byte for byte: what a service that parses and
prints JSON would change, and one whose VALUE is filled up to the largest size.
"""

from __future__ import annotations

from .deployment import ROOT

MAX_BYTES = 262144
FILES = ROOT / "tests" / "bodies"
SAMPLE = (FILES / "sample.json").read_bytes()
FILLER = "\N{GRINNING FACE}".encode()


def sample(value: object = 0) -> bytes:
    """A body that differs from those with another value."""
    return SAMPLE.replace(b"VALUE", str(value).encode())


def sample_text(value: object = 0) -> str:
    """The same as text."""
    return sample(value).decode()


def padded(size: int) -> bytes:
    """A body of exactly so many bytes, most of them blanks."""
    return sample().ljust(size)


def filled(body: bytes) -> bytes:
    """The body as it stands in its file, with its VALUE, if any, filled up to the largest size."""
    count, rest = divmod(MAX_BYTES - len(body) + len(b"VALUE"), len(FILLER))
    return body.replace(b"VALUE", FILLER * count + b"x" * rest)


OTHERS = [path for path in FILES.glob("*.json") if path.stem != "sample"]
BODIES = {
    "padded": padded(MAX_BYTES),
    **{path.stem: filled(path.read_bytes()) for path in OTHERS},
}
