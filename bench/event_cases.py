"""What the exchange pushes: in Redis, in the evaluator's view, and how many a second."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from decimal import Decimal
from itertools import cycle, islice

import msgspec

from bench.account import Holding
from bench.contenders import Session
from bench.door import Door
from bench.figures import FLOOR, Figure, latency_figures
from bench.key_watch import KeyWatch
from bench.processes import child

SNAPSHOT_PREFIX = "quantum:position:snapshot:"

_BURST_SEC = 30.0
_LOOK_SEC = 0.005
_APART_SEC = 0.02
#: So many events a burst at most: what takes longer than the answer to a ping may take would look dead.
_AT_ONCE = 500


def event_to_snapshot(session: Session) -> list[Figure]:
    """One trade after the other; from its event's leaving for the contender to the snapshot in Redis."""
    with _reader(session), KeyWatch(session.stage.redis_url, SNAPSHOT_PREFIX) as watch:

        def seen_sec(holding: Holding, amount: Decimal) -> float:
            while True:
                watch.wait_for(holding.symbol)
                at_sec = time.perf_counter()
                # Proofs of freshness touch snapshots, too.
                if not _unwritten(session, {holding.symbol: amount}):
                    return at_sec

        latencies_sec = _latencies(session, lambda _, __: None, seen_sec)
    return latency_figures("event → snapshot in Redis", latencies_sec)


def event_to_view(session: Session) -> list[Figure]:
    """The same to the moment at which whoever decides would see it."""
    with Door(session.stage.folder) as door, _reader(session, door.path):

        def watch(holding: Holding, amount: Decimal) -> None:
            if session.contender != FLOOR:
                door.watch({holding.symbol: amount})

        latencies_sec = _latencies(session, watch, lambda _, __: door.moment_sec())
    return latency_figures("event → evaluator's view", latencies_sec)


def events_throughput(session: Session) -> list[Figure]:
    """Bursts of one event a symbol, each sent when all of the one before are in Redis."""
    stage = session.stage
    held = stage.held[:_AT_ONCE]
    took_sec, there_and_back = 0.0, max(stage.sizes.events_burst // len(held) // 2, 1)
    with _reader(session):
        for steps in (1, 0) * there_and_back:
            # Events are dated by the millisecond, and each burst's are later than the last's.
            time.sleep(_APART_SEC)
            amounts = {holding.symbol: holding.amount + holding.step * steps for holding in held}
            begun_sec = stage.relay.inject(list(_events(amounts)))
            give_up_sec = begun_sec + _BURST_SEC
            while amounts := _unwritten(session, amounts):
                if time.perf_counter() > give_up_sec:
                    raise session.process.failure(f"wrote no snapshot of {list(amounts)[:5]}")
                time.sleep(_LOOK_SEC)
            took_sec += time.perf_counter() - begun_sec
    rate = len(held) * there_and_back * 2 / took_sec
    return [Figure("events, one a symbol at once", "in Redis", "/s", rate)]


def _latencies(
    session: Session,
    prepare: Callable[[Holding, Decimal], None],
    seen_sec: Callable[[Holding, Decimal], float],
) -> list[float]:
    """There and back again, so that exchange and ledger agree afterwards."""
    stage = session.stage
    chosen = islice(cycle(stage.held), max(stage.sizes.events // 2, 1))
    moves = [(each, amount) for each in chosen for amount in (each.amount + each.step, each.amount)]
    latencies_sec: list[float] = []
    with ThreadPoolExecutor(1) as trader:
        for holding, amount in moves:
            prepare(holding, amount)
            # The answer to the one who trades is not waited for: the event may come before it.
            trade = trader.submit(stage.exchange.move_to, holding.symbol, amount)
            at_sec = seen_sec(holding, amount)
            trade.result()
            latencies_sec.append(at_sec - stage.relay.passed_sec[-1])
    return latencies_sec


def _unwritten(session: Session, amounts: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """Those whose snapshot shows another amount."""
    stored = session.redis.pipeline(
        [("HGET", SNAPSHOT_PREFIX + symbol, "position_amt") for symbol in amounts]
    )
    return {
        symbol: amount
        for (symbol, amount), text in zip(amounts.items(), stored, strict=True)
        if text is None or Decimal(text.decode()) != amount
    }


def _events(amounts: Mapping[str, Decimal]) -> Iterator[bytes]:
    """Events that tell these amounts, as of now."""
    now_ms = int(time.time() * 1000)
    for symbol, amount in amounts.items():
        position = {
            "s": symbol, "pa": f"{amount:f}", "ep": "101.25", "bep": "101.25", "cr": "0", "up": "0",
            "mt": "cross", "iw": "0", "ps": "BOTH",
        }  # fmt: skip
        yield msgspec.json.encode(
            {"e": "ACCOUNT_UPDATE", "E": now_ms, "T": now_ms, "a": {"m": "ORDER", "B": [], "P": [position]}}
        )


@contextmanager
def _reader(session: Session, *door: str) -> Iterator[None]:
    """The floor's reader of events; the daemon has its own."""
    if session.contender != FLOOR:
        yield
        return
    stage = session.stage
    arguments = (stage.redis_url, stage.relay.url, stage.exchange.listen_key(), *door)
    with child("event-floor", stage.folder, "bench.event_floor", *arguments) as floor:
        floor.first_line()
        yield
