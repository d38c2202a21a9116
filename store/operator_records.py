"""Records of the operators' commands."""

from __future__ import annotations

from typing import NamedTuple

from store.execution_records import Switches


class Hold(NamedTuple):
    """A hold of a symbol as stored; `!` for a value of a wrong type, `ttl_ms` None where it never expires."""

    value: bytes
    reason: bytes | None
    sig: bytes | None
    ttl_ms: int | None


class OperatorView(NamedTuple):
    """Switches, today's mark of an auto-disarm, and the hold of the symbol that was asked for."""

    now_ms: int
    switches: Switches
    disarmed: bytes | None
    hold: Hold | None
