"""Bodies that a service that parses and prints JSON would change, and the largest ones."""

from __future__ import annotations

MAX_BYTES = 262144


def sized(size: int, filler: str = "x") -> bytes:
    """A JSON object of exactly so many bytes, made of `filler`."""
    room = size - len(b'{"a":""}')
    count, rest = divmod(room, len(filler.encode()))
    return f'{{"a":"{filler * count}{"x" * rest}"}}'.encode()


ODD = {
    "whitespace": b' \t\r\n{ "b" :\t1 ,\r\n"a" : [ ]\n\n} ',
    "trailing newline": b'{"name":"Ada"}\n',
    "escapes": rb'{"\u0061":"\ud83d\ude00 \/ \\ \" \b\f\n\r\t \u0000 \u2028 \ufffe"}',
    "numbers": b'{"a":1e999,"b":-0.0,"c":1.000,"d":123456789012345678901234567890,"e":1E+2}',
    "beyond ASCII": '{"😀":"é e\u0301 \u200b \u202e \u2028 \U0010ffff 漢字"}'.encode(),
    "control character": b'{"a":"\x7f"}',
    "empty": b"{}",
    "empty name": b'{"":{"":[{"":null}]}}',
    "largest": sized(MAX_BYTES),
    "largest, beyond ASCII": sized(MAX_BYTES, "😀"),
}
assert {len(ODD["largest"]), len(ODD["largest, beyond ASCII"])} == {MAX_BYTES}
