"""Arguments of scripts whose bytes msgspec would not pack as Redis's scripts unpack them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

#: Begins a text of msgpack whose length has 32 bits.
_TEXT_32 = b"\xdb"


def joined(texts: Sequence[bytes | None]) -> msgspec.Raw:
    """Return texts as `joined` of `_reading.lua` joins those that it finds.

    They are packed as text, whatever their bytes are: the scripts of Redis 6.2 cannot unpack msgpack's binary
    type.
    """
    text = b"".join([b"-" if each is None else b"%d:%b" % (len(each), each) for each in texts])
    return msgspec.Raw(_TEXT_32 + len(text).to_bytes(4, "big") + text)
