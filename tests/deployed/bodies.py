"""Bodies that a service that parses and prints JSON would change, and the largest ones."""

from __future__ import annotations

MAX_BYTES = 262144


def sized(size: int, filler: str = "x") -> bytes:
    """A JSON object of exactly so many bytes, made of `filler`."""
    room = size - len(b'{"a":""}')
    count, rest = divmod(room, len(filler.encode()))
    return f'{{"a":"{filler * count}{"x" * rest}"}}'.encode()


# One body with every oddity, since an object may hold them all at once.
ODD = (
    b' \t\r\n{ "spaces" :\t1 ,\r\n'
    rb'"\u0065scapes":"\ud83d\ude00 \/ \\ \" \b\f\n\r\t \u0000 \u2028 \ufffe",'
    b'"numbers":[1e999,-0.0,1.000,123456789012345678901234567890,1E+2],"":{"":[{"":null}]},'
    + '"😀":"é e\u0301 \u200b \u202e \u2028 \U0010ffff 漢字 \x7f"} \n'.encode()
)
BODIES = {
    "odd": ODD,
    "empty": b"{}",
    "largest": sized(MAX_BYTES),
    "largest, beyond ASCII": sized(MAX_BYTES, "😀"),
}
assert {len(BODIES["largest"]), len(BODIES["largest, beyond ASCII"])} == {MAX_BYTES}
