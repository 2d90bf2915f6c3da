"""Bodies that the service takes: the example of the resource, with a number in place of VALUE."""

from __future__ import annotations

from .resources import KNOWN

MAX_BYTES = 262144
NUMBERS: dict[str, int] = {}


def sample(value: object = 0) -> bytes:
    """A body that differs from those with another value."""
    number = NUMBERS.setdefault(str(value), len(NUMBERS) + 1)
    return str(KNOWN["body"]).replace("VALUE", str(number)).encode()


def sample_text(value: object = 0) -> str:
    """The same as text."""
    return sample(value).decode()


def padded(size: int = MAX_BYTES) -> bytes:
    """A body of exactly so many bytes, most of them blanks."""
    return sample().ljust(size)
