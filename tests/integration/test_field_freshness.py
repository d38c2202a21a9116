"""Rows and events whose dates contradict the exchange's present state, and listen keys that are dead.

A position that is gone is allowed to be closed for no longer than the stale threshold, and the snapshot is
right again within two audits, without a plan that has it read.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from decimal import Decimal

import trio

from brain.positions.merging import EVENT_IN_FLIGHT_SEC
from simulator import SimulatedExchange, external_events
from tests.integration.pipeline import entry, executed, full_close
from tests.integration.rigs import QUARTER, Case, Rig, every, side_by_side
from tests.integration.surroundings import POSITION_RISK, SYMBOLS, small_exchange, trade
from tests.integration.waiting import until, until_async

#: Positions that a fault takes away.
HELD = SYMBOLS[:6]
#: Closed before the fault, to show that closes are allowed at all.
CONTROL = SYMBOLS[6]
LATENCY_MS = 100.0
#: What a busy machine and the comparison itself may add to a bound.
SLACK_SEC = 1.0
_HOUR_MS = 3_600_000

Strike = Callable[[Rig], None]


class Bounds:
    """Bounds that follow from a daemon's settings."""

    def __init__(self, stale_sec: float, audit_sec: float) -> None:
        self.stale_sec = stale_sec
        self.audit_sec = audit_sec
        self.right_within_sec = 2 * audit_sec + LATENCY_MS / 1000 + SLACK_SEC


FAST = Bounds(stale_sec=float(QUARTER["P33_STALE_THRESHOLD_SEC"]), audit_sec=float(QUARTER["P33_AUDIT_SEC"]))
DEFAULTS = Bounds(stale_sec=10.0, audit_sec=8.0)


def quantity(rig: Rig, symbol: str) -> Decimal:
    """Some steps of the symbol, for more than its least notional."""
    listed = rig.exchange.symbol(symbol)
    steps = listed.step_size * 10
    while steps * rig.exchange.mark_price(symbol) < listed.min_notional * 4:
        steps *= 2
    return steps


async def hold(rig: Rig, symbols: Sequence[str]) -> None:
    """Open a position in each by an order of our own, and wait until snapshot and ledger have it."""
    for symbol in symbols:
        order = trade(rig.exchange, symbol, "BUY", str(quantity(rig, symbol)))
        rig.pipeline.publish_fill(f"open-{order.order_id}", order)
    for symbol in symbols:
        held = f"{rig.exchange.position(symbol).amount.normalize():f}"
        await rig.pipeline.snapshot_reaches(symbol, held, within_sec=10)
        await rig.pipeline.ledger_reaches(symbol, held)


async def asks_for_closes(rig: Rig, symbols: Sequence[str], bounds: Bounds, label: str) -> None:
    """Ask for the close of one after the other, until well after the stale threshold; no late ALLOW."""
    struck_sec = trio.current_time()
    for number, symbol in enumerate(symbols):
        await trio.sleep_until(struck_sec + bounds.stale_sec * 1.6 * (number + 1) / len(symbols))
        asked_sec = trio.current_time() - struck_sec
        answer = await rig.pipeline.ask(f"{label}-{symbol}", full_close(symbol))
        if answer["allow"]:
            refused = {"plan_id": f"{label}-{symbol}", "symbol": symbol, "executed": "False"}
            rig.pipeline.publish_result(refused | {"error": "order rejected"})
        if asked_sec > bounds.stale_sec:
            assert not answer["allow"], f"{label}: {symbol} {asked_sec:.1f} s after the change: {answer}"
            assert answer["reason"] != "in_flight_permit", "it would hide an ALLOW"


async def becomes_right(rig: Rig, symbols: Sequence[str], bounds: Bounds, label: str) -> None:
    """Wait, without a plan for them, until the snapshots show that the positions are gone."""
    due_sec = trio.current_time() + bounds.right_within_sec
    for symbol in symbols:
        await rig.pipeline.snapshot_reaches(symbol, "0", max(0.0, due_sec - trio.current_time()))
    await until_async(rig_is_ready(rig), f"{label}: ready again", within_sec=10)


def rig_is_ready(rig: Rig) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        return bool((await rig.status())["ready"])

    return look


def gone(strikes: dict[str, Strike], bounds: Bounds, *, asking: bool) -> Callable[[Rig], Awaitable[None]]:
    """Take the positions away in each of these ways, one after the other."""

    async def run(rig: Rig) -> None:
        await hold(rig, [CONTROL])
        before = await rig.pipeline.ask("before", full_close(CONTROL))
        assert before["allow"], before
        for label, strike in strikes.items():
            await hold(rig, HELD)
            await rig.trusts_the_stream()
            # An event may be in flight for 1 s: what contradicts it sooner may simply be older.
            await trio.sleep(1.1)
            strike(rig)
            assert not any(rig.exchange.position(symbol).amount for symbol in HELD)
            if asking:
                await asks_for_closes(rig, HELD, bounds, label)
            await becomes_right(rig, HELD, bounds, label)
            await flatten_ledgers(rig, label)
        answer = await rig.pipeline.ask("after", entry(SYMBOLS[8], "100"))
        assert answer["reason"] == "open_permit_granted", answer

    return run


async def flatten_ledgers(rig: Rig, label: str) -> None:
    """Book that the positions are gone, as an operator does."""
    for number, symbol in enumerate(HELD):
        order_id = f"9{time.time_ns()}{number}"
        rig.pipeline.publish_result(
            executed(f"gone-{order_id}", symbol, order_id, "SELL", rig.pipeline.ledger_amount(symbol))
        )
    for symbol in HELD:
        await rig.pipeline.ledger_reaches(symbol, "0")


def wipe(rig: Rig) -> None:
    """Empty the account as the testnet's reset does: all flat, `updateTime` 0, no event."""
    rig.exchange.wipe_account()


def rewind(rig: Rig) -> None:
    """Restore a matching engine from an older state: rows of before, dated a minute ago."""
    for symbol in HELD:
        rig.exchange.rewind_position(symbol, "BOTH", Decimal(0), rig.exchange.exchange_ms() - 60_000)


def step_back(milliseconds: int) -> Strike:
    """Set the exchange's clock back; then half of the positions close with an event, half without."""

    def strike(rig: Rig) -> None:
        rig.exchange.faults.clock_skew_ms -= milliseconds
        for symbol in HELD:
            external_events.move_position(
                rig.exchange, symbol, target=Decimal(0), announced=HELD.index(symbol) % 2 == 0
            )

    return strike


def date_ahead(milliseconds: int, *, rows: bool) -> Strike:
    """Date one event of each position ahead; the close after it has the right date again."""

    def strike(rig: Rig) -> None:
        faults = rig.exchange.faults
        faults.dated_ahead_rows = rows
        partly_and_whole(rig, lambda: faults.date_ahead_next.append(milliseconds))

    return strike


def date_in_microseconds(rig: Rig) -> None:
    """Send one event of each position with its times in microseconds."""

    def next_one() -> None:
        rig.exchange.faults.microseconds_next = 1

    partly_and_whole(rig, next_one)


def partly_and_whole(rig: Rig, spoil_the_next: Callable[[], None]) -> None:
    for symbol in HELD:
        spoil_the_next()
        external_events.move_position(rig.exchange, symbol, delta=-rig.exchange.symbol(symbol).step_size)
        external_events.move_position(rig.exchange, symbol, target=Decimal(0))


FORGOTTEN: dict[str, Strike] = {"restored": rewind, "wiped": wipe}
SET_BACK = {f"back {sec:g} s": step_back(round(sec * 1000)) for sec in (1.5, 60.0, 3600.0)}
AHEAD: dict[str, Strike] = {
    "ahead 5 s": date_ahead(5_000, rows=False),
    "ahead 1 h": date_ahead(_HOUR_MS, rows=False),
    "ahead 1 h, rows too": date_ahead(_HOUR_MS, rows=True),
    "microseconds": date_in_microseconds,
}


async def test_a_position_that_the_exchange_does_not_show_any_more_is_not_claimed_whatever_its_date() -> None:
    cases = [
        Case(f"{name}, {'asked for' if asking else 'by itself'}", gone(strikes, FAST, asking=asking), QUARTER,
             latency_ms=LATENCY_MS)
        for name, strikes in (
            ("forgotten", FORGOTTEN), ("clock", SET_BACK), ("dates", AHEAD)
        )
        for asking in (True, False)
    ]  # fmt: skip
    await side_by_side(*cases)


async def test_a_dead_listen_key_costs_one_divergence_and_then_a_new_connection() -> None:
    """The socket stays open and answers pings: only a read shows that it is silent."""

    async def run(how: str, rig: Rig) -> None:
        await rig.trusts_the_stream()
        await trio.sleep(1.1)
        if how == "deleted":
            rig.exchange.delete_listen_key(silently=True)
        else:
            rig.exchange.replace_listen_key(silently=True)
        opened = rig.simulator.streams.connections_opened("private")
        move(rig, "BTCUSDT", "0.007")
        await until(
            lambda: rig.simulator.streams.connections_opened("private") > opened,
            f"{how}: another connection",
            within_sec=FAST.audit_sec + EVENT_IN_FLIGHT_SEC + LATENCY_MS / 1000 + SLACK_SEC,
        )
        await rig.trusts_the_stream()
        await is_pushed(rig, "BTCUSDT", "0.009")
        assert rig.daemon.output.count("stream diverged") == 1

    at_the_handshake = Case("dead at the handshake", dead_at_the_handshake, QUARTER, latency_ms=LATENCY_MS)
    cases = every(("deleted", "replaced"), run, settings=QUARTER, latency_ms=LATENCY_MS)
    await side_by_side(*cases, at_the_handshake)


async def dead_at_the_handshake(rig: Rig) -> None:
    """Delete the key between its making and the handshake, which succeeds all the same."""
    await rig.trusts_the_stream()
    exchange, faults = rig.exchange, rig.exchange.faults
    faults.rest_latency_ms, faults.rest_latency_share_before = 300, 0.0
    exchange.delete_listen_key(silently=True)
    before = connected_times(rig)
    await rig.simulator.streams.reset("private")
    for _ in range(3):
        await until(lambda: exchange.listen_keys.live, "another key", within_sec=10)
        exchange.delete_listen_key(silently=True)
        move(rig, "BTCUSDT", "0.007" if exchange.position("BTCUSDT").amount == 0 else "0")
    assert connected_times(rig) == before, "no connection was taken for a proven one"
    await rig.trusts_the_stream()
    await trio.sleep(1.1)
    await is_pushed(rig, "BTCUSDT", "0.009")


def move(rig: Rig, symbol: str, amount: str) -> None:
    external_events.move_position(rig.exchange, symbol, target=Decimal(amount))


def connected_times(rig: Rig) -> int:
    """Count how often a private stream was taken for one that works."""
    return rig.daemon.output.count("private stream: connected")


async def is_pushed(rig: Rig, symbol: str, amount: str) -> None:
    """Move a position by the stream alone: its snapshot follows before any read is answered.

    A read that falls into it shows nothing; then the position is moved again.
    """
    for number in range(10):
        target = Decimal(amount) * (number + 1)
        reads = len(rig.exchange.requests.records(path=POSITION_RISK))
        move(rig, symbol, str(target))
        await rig.pipeline.snapshot_reaches(symbol, f"{target.normalize():f}")
        if len(rig.exchange.requests.records(path=POSITION_RISK)) == reads:
            return
    raise AssertionError(f"{symbol}: each of ten moves was found by a read")


async def test_updates_with_nothing_but_a_flat_both_row_leave_the_legs_of_hedge_mode_alone() -> None:
    """No read falls into the test: what a flat BOTH row spoiled would stay spoiled."""

    async def run(rig: Rig) -> None:
        exchange = rig.exchange
        exchange.faults.account_update_shows_only_both = True
        await rig.trusts_the_stream()
        for number in range(1, 11):
            long = Decimal(number) / 100
            external_events.move_position(exchange, "BTCUSDT", target=long, position_side="LONG")
            external_events.move_position(exchange, "BTCUSDT", target=-2 * long, position_side="SHORT")
            expected = {"long_amt": long, "short_amt": -2 * long, "position_amt": -long}
            await until(lambda to=expected: legs(rig, to) == to, f"{expected}", within_sec=1.0)  # type: ignore[misc]
            await trio.sleep(0.3)
            answer = await rig.pipeline.ask(
                f"add-{number}", entry("BTCUSDT", "0.01") | {"positionSide": "LONG"}
            )
            assert answer["reason"] not in ("no_exchange_snapshot", "stale_exchange_state"), answer
        claimed_sec = int(rig.pipeline.snapshot("BTCUSDT")["ts_epoch_ms"]) / 1000
        assert time.time() - claimed_sec < 2.5

    quiet = {"P33_STALE_THRESHOLD_SEC": "300", "P33_AUDIT_SEC": "200", "P33_AUDIT_MAX_AGE_SEC": "250",
             "P33_EXECUTION_GRACE_SEC": "301", "P33_ONDEMAND_SNAPSHOT": "false"}  # fmt: skip
    await side_by_side(Case("flat BOTH", run, quiet, exchange=hedged))


def hedged() -> SimulatedExchange:
    exchange = small_exchange()
    exchange.set_hedge_mode(True)
    return exchange


def legs(rig: Rig, names: Iterable[str]) -> dict[str, Decimal]:
    stored = rig.pipeline.snapshot("BTCUSDT")
    return {name: Decimal(stored.get(name, "NaN")) for name in names}
