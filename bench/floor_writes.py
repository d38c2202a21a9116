"""Commands of both floors: the read, and the write for an entry, as long as a real permit or ledger."""

from __future__ import annotations

from collections.abc import Callable

from bench.redis_socket import Command

Fields = dict[bytes, bytes]

GROUP = "p33"
#: Places to read from. Pending entries are read first: Redis may have given some to a floor that was killed.
PENDING, UNREAD = "0", ">"
_BATCH = 256
#: Longest wait (ms), so that a floor without Redis ends.
_BLOCK_MS = 5_000

_PERMIT = (
    b'{"plan_id":"%b","symbol":"%b","allow":true,"reason":"sanity_checks_passed","kind":"close","side":"LONG",'
    b'"order_side":"SELL","leg":"BOTH","exchange_position_amt":10.000,"ledger_position_amt":10.000,'
    b'"ledger_amt":10.000,"snapshot_age_sec":0.812345678,"created_at":1700000000.123,"ts_epoch":1700000000,'
    b'"issued_by":"floor floor","safe_close_qty":0.001,"safe_qty":0.001,"plan_qty":0.001}'
)


def read(stream: str, after: str = UNREAD) -> Command:
    """Return the read of the next entries of `stream`: unread ones, or those pending after an id."""
    return (
        "XREADGROUP", "GROUP", GROUP, "floor", "COUNT", _BATCH, "BLOCK", _BLOCK_MS, "STREAMS", stream, after,
    )  # fmt: skip


def permit(fields: Fields) -> Command:
    """Return the permit of a plan."""
    plan_id = fields[b"plan_id"]
    return (b"SET", b"quantum:permit:p33:" + plan_id, _PERMIT % (plan_id, fields[b"symbol"]), b"PX", 60_000)


def ledger(fields: Fields) -> Command:
    """Return the ledger after a result."""
    return (
        b"HSET", b"quantum:position:ledger:" + fields[b"symbol"],
        b"last_known_amt", fields[b"filled_qty"], b"ledger_amt", fields[b"filled_qty"],
        b"last_order_id", fields[b"order_id"], b"last_order_time_epoch", fields[b"timestamp"],
        b"version", b"2",
    )  # fmt: skip


#: Writes for an entry, by stream.
WRITES: dict[str, Callable[[Fields], Command]] = {
    "quantum:stream:apply.plan": permit,
    "quantum:stream:apply.result": ledger,
}
