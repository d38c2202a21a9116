"""Recorded decisions, from the audit stream or from a file, and into a file.

A file holds one JSON object a line: `id`, the entry's id on the stream, and `record`, the audit record as it
is (or as a text, where it is no JSON).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import msgspec

from brain.json_text import read_json
from commands.clients.redis_reading import RedisReading


class RecordedEntry(msgspec.Struct, frozen=True):
    """An entry of an audit stream: its id, and the bytes of its record."""

    id: str
    record: bytes


class NotExportedError(ValueError):
    """A line of a file is no recorded decision; the message says which."""


class _Line(msgspec.Struct, frozen=True):
    id: str
    record: msgspec.Raw


def from_stream(
    redis: RedisReading,
    stream: str,
    *,
    last: int | None = None,
    since_ms: int | None = None,
    sparse: bool = False,
) -> Iterator[RecordedEntry]:
    """Yield the newest `last` entries, or those since `since_ms` (Redis's clock), or all; the newest first.

    `sparse`: entries without a record are left out. Raises redis.exceptions.RedisError.
    """
    entries = redis.newest_first(stream, since_ms=since_ms)
    wanted = (each for each in entries if not sparse or b"record" in each[1])
    for audit_id, fields in islice(wanted, last):
        yield RecordedEntry(audit_id, fields.get(b"record", b""))


def from_file(path: Path) -> Iterator[RecordedEntry]:
    """Yield the entries of an exported file, in its order. Raises OSError, NotExportedError."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                read = read_json(_LINES, line)
                record = bytes(read.record)
                if record.startswith(b'"'):
                    record = read_json(_TEXT, record).encode()
            except (msgspec.DecodeError, UnicodeError) as error:
                raise NotExportedError(f"{path}, line {number}: {error}") from None
            yield RecordedEntry(read.id, record)


def exported(entries: Iterable[RecordedEntry], file: BinaryIO) -> Iterator[RecordedEntry]:
    """Yield the same entries, each written to `file` on its way. Raises OSError."""
    for entry in entries:
        file.write(msgspec.json.encode(_Line(entry.id, _as_json(entry.record))) + b"\n")
        yield entry


def _as_json(record: bytes) -> msgspec.Raw:
    """Return the record itself where it is a JSON object on one line, else its text."""
    try:
        is_object = isinstance(read_json(_ANY_JSON, record), dict)
    except msgspec.DecodeError:
        is_object = False
    if is_object and b"\n" not in record:
        return msgspec.Raw(record)
    return msgspec.Raw(msgspec.json.encode(record.decode(errors="backslashreplace")))


_LINES = msgspec.json.Decoder(_Line)
_TEXT = msgspec.json.Decoder(str)
_ANY_JSON: msgspec.json.Decoder[object] = msgspec.json.Decoder()
