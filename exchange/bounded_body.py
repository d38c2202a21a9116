"""Reader of HTTP bodies with a limit on the decoded size.

Decompressed at once, a gzip answer of 200 KB can become 200 MB.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterable, Mapping

import trio

#: The largest real answer (exchangeInfo) has 1 to 2 MB.
LARGEST_ANSWER_BYTES = 16 * 1024 * 1024
LARGEST_ERROR_BYTES = 64 * 1024
ACCEPT_ENCODING = "gzip, identity"

_STEP_BYTES = 64 * 1024
_GZIP_WINDOW = 31


class UnreadableBodyError(Exception):
    """Body is larger than the limit, cut, or encoded in a way that was not requested."""


async def read_body(headers: Mapping[str, str], stream: AsyncIterable[bytes], limit: int) -> bytes:
    """Return the decoded body of a streamed answer. Raises UnreadableBodyError and httpcore's errors.

    At most `limit` bytes and one step of 64 KB are held; other tasks run after each step.
    """
    encoding = headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("identity", "", "gzip"):
        raise UnreadableBodyError(f"content encoding {encoding[:20]!r}")
    gzip = zlib.decompressobj(_GZIP_WINDOW) if encoding == "gzip" else None
    body = bytearray()
    async for chunk in stream:
        if gzip is None:
            body += chunk
            _hold(body, limit)
        else:
            await _inflate(gzip, chunk, body, limit)
    if gzip is not None and not gzip.eof:
        raise UnreadableBodyError("the gzip body was cut")
    return bytes(body)


async def _inflate(gzip: zlib._Decompress, chunk: bytes, body: bytearray, limit: int) -> None:
    rest = chunk
    while not gzip.eof:
        try:
            step = gzip.decompress(rest, _STEP_BYTES)
        except zlib.error:
            raise UnreadableBodyError("the gzip body is damaged") from None
        body += step
        _hold(body, limit)
        rest = gzip.unconsumed_tail
        if not rest and len(step) < _STEP_BYTES:
            return
        await trio.lowlevel.checkpoint()


def _hold(body: bytearray, limit: int) -> None:
    if len(body) > limit:
        raise UnreadableBodyError(f"larger than {limit // 1024} KB")
