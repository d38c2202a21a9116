"""Cases of pushed positions: latency to Redis and to the evaluator's view, and throughput."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from decimal import Decimal
from itertools import cycle, islice

import msgspec

from bench.account import Holding
from bench.contenders import Session
from bench.control_socket import ControlSocket
from bench.figures import FLOOR, Figure, latency_figures
from bench.key_watch import KeyWatch
from bench.processes import child
from bench.redis_socket import BlockingRedis

SNAPSHOT_PREFIX = "quantum:position:snapshot:"

_BURST_SEC = 30.0
_LOOK_SEC = 0.005
_APART_SEC = 0.02
#: Most events of a burst: the connection must not take longer than the timeout of a ping.
_AT_ONCE = 500
#: `verified_by` of a snapshot that was read and not pushed.
_READS = (b"rest", b"ondemand")


def event_to_snapshot(session: Session) -> list[Figure]:
    """Measure single trades, from the sending of the event to the snapshot in Redis."""
    with _reader(session), KeyWatch(session.stage.redis_url, SNAPSHOT_PREFIX) as watch:

        def seen_sec(holding: Holding, amount: Decimal) -> float:
            while True:
                watch.wait_for(holding.symbol)
                at_sec = time.perf_counter()
                # Proofs of freshness write snapshots, too.
                if not unwritten(session.redis, {holding.symbol: amount}):
                    return at_sec

        latencies_sec = _latencies(session, lambda _, __: None, seen_sec)
    return latency_figures("event → snapshot in Redis", latencies_sec)


def event_to_view(session: Session) -> list[Figure]:
    """Measure single trades, from the sending of the event to the evaluator's view."""
    with ControlSocket(session.stage.folder) as control, _reader(session, control.path):

        def watch(holding: Holding, amount: Decimal) -> None:
            if session.contender != FLOOR:
                control.watch({holding.symbol: amount})

        latencies_sec = _latencies(session, watch, lambda _, __: control.moment_sec())
    return latency_figures("event → evaluator's view", latencies_sec)


def events_throughput(session: Session) -> list[Figure]:
    """Measure bursts of one event a symbol, each sent when all of the one before are in Redis."""
    held = session.stage.held[:_AT_ONCE]
    took_sec, events = 0.0, 0
    with _reader(session):
        for _ in range(max(session.stage.sizes.events_burst // len(held) // 2, 1)):
            there_sec, back_sec = (_burst_sec(session, held, steps) for steps in (1, 0))
            if there_sec is not None and back_sec is not None:
                took_sec += there_sec + back_sec
                events += len(held) * 2
    if not events:
        raise session.process.failure("read the exchange in each burst of events")
    return [Figure("events, one a symbol at once", "in Redis", "/s", events / took_sec)]


def _burst_sec(session: Session, held: Sequence[Holding], steps: int) -> float | None:
    """Return the seconds until all snapshots are `steps` above the exchange; None if a read came between.

    The exchange does not have the events that the relay adds: a read sent after them reverts them.
    """
    # Events have times in milliseconds, and each burst's are later than the last's.
    time.sleep(_APART_SEC)
    amounts = {holding.symbol: holding.amount + holding.step * steps for holding in held}
    now_ms = int(time.time() * 1000)
    begun_sec = session.stage.relay.inject(list(_events(amounts, now_ms)))
    give_up_sec = begun_sec + _BURST_SEC
    while amounts := unwritten(session.redis, amounts):
        if read_since(session.redis, amounts, now_ms):
            return None
        if time.perf_counter() > give_up_sec:
            raise session.process.failure(f"wrote no snapshot of {list(amounts)[:5]}")
        time.sleep(_LOOK_SEC)
    return time.perf_counter() - begun_sec


def _latencies(
    session: Session,
    prepare: Callable[[Holding, Decimal], None],
    seen_sec: Callable[[Holding, Decimal], float],
) -> list[float]:
    """Trade in pairs of opposite sides, so that exchange and ledger agree afterwards."""
    stage = session.stage
    chosen = islice(cycle(stage.held), max(stage.sizes.events // 2, 1))
    moves = [(each, amount) for each in chosen for amount in (each.amount + each.step, each.amount)]
    latencies_sec: list[float] = []
    with ThreadPoolExecutor(1) as trader:
        for holding, amount in moves:
            prepare(holding, amount)
            # Not awaited: the event may come before the answer to the order.
            trade = trader.submit(stage.exchange.move_to, holding.symbol, amount)
            at_sec = seen_sec(holding, amount)
            trade.result()
            latencies_sec.append(at_sec - stage.relay.passed_sec[-1])
    return latencies_sec


def unwritten(redis: BlockingRedis, amounts: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """Return the symbols whose snapshot has another amount."""
    stored = redis.pipeline([("HGET", SNAPSHOT_PREFIX + symbol, "position_amt") for symbol in amounts])
    return {
        symbol: amount
        for (symbol, amount), text in zip(amounts.items(), stored, strict=True)
        if text is None or Decimal(text.decode()) != amount
    }


def read_since(redis: BlockingRedis, symbols: Iterable[str], epoch_ms: int) -> bool:
    """Return True if a snapshot of these comes from a read that was sent after `epoch_ms`."""
    proofs = redis.pipeline(
        [("HMGET", SNAPSHOT_PREFIX + symbol, "verified_by", "ts_epoch_ms") for symbol in symbols]
    )
    return any(by in _READS and int(at_ms) > epoch_ms for by, at_ms in proofs)


def _events(amounts: Mapping[str, Decimal], now_ms: int) -> Iterator[bytes]:
    """Return events with these amounts and that time."""
    for symbol, amount in amounts.items():
        position = {
            "s": symbol, "pa": f"{amount:f}", "ep": "101.25", "bep": "101.25", "cr": "0", "up": "0",
            "mt": "cross", "iw": "0", "ps": "BOTH",
        }  # fmt: skip
        yield msgspec.json.encode(
            {"e": "ACCOUNT_UPDATE", "E": now_ms, "T": now_ms, "a": {"m": "ORDER", "B": [], "P": [position]}}
        )


@contextmanager
def _reader(session: Session, *control: str) -> Iterator[None]:
    """Start the floor's reader of events; the daemon has its own."""
    if session.contender != FLOOR:
        yield
        return
    stage = session.stage
    arguments = (stage.redis_url, stage.relay.url, stage.exchange.listen_key(), *control)
    with child("event-floor", stage.folder, "bench.event_floor", *arguments) as floor:
        floor.first_line()
        yield
