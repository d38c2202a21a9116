"""One row that cannot be read costs its own symbol, and no other one."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import trio

from simulator import SimulatedExchange, external_events
from tests.integration.pipeline import Pipeline, entry
from tests.integration.rigs import Case, Rig, side_by_side
from tests.integration.surroundings import POSITION_RISK, is_ready
from tests.integration.waiting import until, until_async

MISSING = "<missing>"
AVERAGED = "100.666666666666666666666667"
DEEP = "[" * 50_000 + "]" * 50_000

#: Fields that no decision needs: without them the symbol is traded as ever.
DECORATION: dict[str, Mapping[str, Any]] = {
    "ADAUSDT": {"markPrice": ""},
    "ALGOUSDT": {"markPrice": "NaN"},
    "ATOMUSDT": {"markPrice": None},
    "AVAXUSDT": {"markPrice": "<raw>0"},
    "BCHUSDT": {"leverage": MISSING},
    "BNBUSDT": {"leverage": None},
    "COMPUSDT": {"leverage": "many"},
    "DOGEUSDT": {"entryPrice": AVERAGED},
    "DOTUSDT": {"entryPrice": None},
    "ETCUSDT": {"unRealizedProfit": MISSING, "marginType": None},
}
#: Rows of which the position cannot be read.
POSITIONS: dict[str, Mapping[str, Any]] = {
    "ETHUSDT": {"updateTime": MISSING},
    "FILUSDT": {"updateTime": None},
    "ICPUSDT": {"updateTime": "yesterday"},
    "LINKUSDT": {"positionSide": "MIDDLE"},
    "LTCUSDT": {"positionSide": None},
    "ENSUSDT": {"positionAmt": ""},
    "NEARUSDT": {"positionAmt": "NaN"},
    "SOLUSDT": {"positionAmt": None},
    "SUIUSDT": {"positionAmt": MISSING},
}
#: Symbols whose trading rules cannot be read.
RULES: dict[str, Mapping[str, Any]] = {
    "TRXUSDT": {"filters": MISSING},
    "UNIUSDT": {"status": MISSING},
    "XLMUSDT": {"LOT_SIZE.stepSize": ""},
    "XRPUSDT": {"LOT_SIZE.stepSize": None},
    "XTZUSDT": {"filters": None},
}
#: Rules that look odd and can be read.
ODD_RULES: dict[str, Mapping[str, Any]] = {"ZECUSDT": {"LOT_SIZE.maxQty": "1e15"}}
MARKS: dict[str, Mapping[str, Any]] = {
    "AAVEUSDT": {"p": ""},
    "APTUSDT": {"p": None},
    "ARBUSDT": {"p": MISSING},
    "BTCUSDT": {"E": "<raw>null"},
    "CRVUSDT": {"<row>": None},
    "OPUSDT": {"s": MISSING},
}
WATCHED_SEC = 2.5
AUDIT = {"P33_AUDIT_SEC": "1", "P33_POLL_SEC": "1"}


def test_the_symbols_are_listed() -> None:
    listed = SimulatedExchange().listing.symbols
    for odd in (DECORATION, POSITIONS, RULES, ODD_RULES, MARKS):
        assert odd.keys() <= listed.keys(), odd.keys() - listed.keys()


async def test_a_bad_row_of_569_costs_its_own_symbol_and_no_other_one() -> None:
    await side_by_side(
        Case("bad from the start", bad_from_the_start, AUDIT, exchange=spoilt),
        Case("one after the other", one_after_the_other, AUDIT, exchange=SimulatedExchange),
    )


def spoilt() -> SimulatedExchange:
    """Return the whole exchange, with every odd row there is."""
    exchange = SimulatedExchange()
    exchange.odd_rows = {name: dict(changes) for name, changes in (DECORATION | POSITIONS).items()}
    exchange.odd_symbols = {name: dict(changes) for name, changes in (RULES | ODD_RULES).items()}
    exchange.odd_marks = {name: dict(changes) for name, changes in MARKS.items()}
    return exchange


async def bad_from_the_start(rig: Rig) -> None:
    """All at once, when nothing is known yet; then all are as they should be again."""
    bad = [*POSITIONS, *RULES]
    await until_async(names(rig, bad), "the symbols named in /status", within_sec=5)
    page = await rig.get("/")
    for symbol in bad:
        await until(partial(logged, rig, symbol), f"{symbol} in the log")
        assert symbol in page, f"{symbol} on the page"
    await others_stay_fresh(rig, POSITIONS)
    for symbol in (*POSITIONS, *RULES):
        answer = await rig.pipeline.ask(f"bad-{symbol}", plan(rig, symbol))
        assert not answer["allow"], answer
    for symbol in (*DECORATION, *ODD_RULES, *MARKS):
        answer = await rig.pipeline.ask(f"odd-{symbol}", plan(rig, symbol))
        assert answer["reason"] == "open_permit_granted", answer

    for odd in (rig.exchange.odd_rows, rig.exchange.odd_symbols, rig.exchange.odd_marks):
        odd.clear()
    await until_async(names(rig, list(RULES)), "positions are named no more", within_sec=5)
    await others_stay_fresh(rig, {})
    for symbol in POSITIONS:
        answer = await rig.pipeline.ask(f"good-{symbol}", plan(rig, symbol))
        assert answer["reason"] == "open_permit_granted", answer


async def one_after_the_other(rig: Rig) -> None:
    """Rows that could be read, and then cannot: each known within an audit, and good again after it."""
    await rig.trusts_the_stream()
    for symbol, changes in POSITIONS.items():
        rig.exchange.odd_rows = {symbol: dict(changes)}
        await until_async(names(rig, [symbol]), f"{symbol} named: {changes}", within_sec=4)
        assert oldest_sec(rig.pipeline, rig, {symbol: changes}) < WATCHED_SEC
        answer = await rig.pipeline.ask(f"bad-{symbol}", plan(rig, symbol))
        assert not answer["allow"], answer
    rig.exchange.odd_rows = {}
    await until_async(names(rig, []), "none named", within_sec=4)
    for symbol, changes in DECORATION.items():
        rig.exchange.odd_rows[symbol] = dict(changes)
    rig.exchange.odd_marks = {name: dict(changes) for name, changes in MARKS.items()}
    spoilt_ms = time.time() * 1000
    await others_stay_fresh(rig, {})
    await until(
        lambda: all(
            mark_ms(rig, name) > spoilt_ms for name in rig.exchange.listing.symbols if name not in MARKS
        ),
        "the marks of all others follow",
        within_sec=12,
    )
    assert (await rig.status())["stream"]["losses"] == 0


def logged(rig: Rig, symbol: str) -> bool:
    """Look for the symbol in the log, after the settings that list all of them."""
    return symbol in rig.daemon.output.partition("HTTP address")[2]


def mark_ms(rig: Rig, symbol: str) -> int:
    """Return the time of a snapshot's mark price: of a flat position one is written each 10 s, at least."""
    return int(rig.pipeline.snapshot(symbol)["mark_ts_epoch_ms"])


def plan(rig: Rig, symbol: str) -> dict[str, str]:
    listed = rig.exchange.symbol(symbol)
    quantity = listed.min_qty
    while quantity * rig.exchange.mark_price(symbol) < listed.min_notional * 4:
        quantity *= 2
    return entry(symbol, f"{quantity:f}")


def names(rig: Rig, symbols: Sequence[str]) -> Any:
    """Look whether `/status` names these symbols as unreadable, and no others."""

    async def look() -> bool:
        await trio.sleep(0.02)
        shown = (await rig.status())["exchange"]["unreadable"]
        return sorted(each["symbol"] for each in shown["symbols"]) == sorted(symbols)

    return look


async def others_stay_fresh(rig: Rig, unreadable: Mapping[str, Any]) -> None:
    """Watch for some seconds."""
    until_sec = trio.current_time() + WATCHED_SEC
    while trio.current_time() < until_sec:
        assert oldest_sec(rig.pipeline, rig, unreadable) < WATCHED_SEC
        await trio.sleep(0.2)


def oldest_sec(pipeline: Pipeline, rig: Rig, without: Mapping[str, Any]) -> float:
    """Return the age of the oldest snapshot of the other symbols."""
    others = [name for name in rig.exchange.listing.symbols if name not in without]
    assert len(others) == 569 - len(without)
    pipe = pipeline.redis.pipeline(transaction=False)
    for name in others:
        pipe.hget(f"quantum:position:snapshot:{name}", "ts_epoch_ms")
    dated = dict(zip(others, pipe.execute(), strict=True))
    lacking = [name for name, text in dated.items() if text is None]
    assert not lacking, lacking
    return time.time() - min(int(text) for text in dated.values()) / 1000


PATHS = (
    "/fapi/v1/exchangeInfo",
    "/fapi/v1/listenKey",
    "/fapi/v1/time",
    "/fapi/v1/positionSide/dual",
    POSITION_RISK,
)


async def test_deeply_nested_json_is_an_unreadable_answer_like_any_other() -> None:
    """As answer and as error body of each request, at the start and later, as frame and inside a row."""

    def deep_from_the_start() -> SimulatedExchange:
        exchange = SimulatedExchange()
        exchange.faults.rest_faults_next = ["deep_json"] * 6
        return exchange

    await side_by_side(Case("deep", deep_everywhere, AUDIT, exchange=deep_from_the_start))


async def deep_everywhere(rig: Rig) -> None:
    exchange, faults = rig.exchange, rig.exchange.faults
    await rig.trusts_the_stream(within_sec=30)
    for status in (200, 400, 503):
        faults.odd_body_status = status
        for path in PATHS:
            faults.rest_fault_paths, faults.rest_faults_next = [path], ["deep_json"] * 2
            if "listenKey" in path:
                await rig.simulator.streams.reset("private")
            if path in (POSITION_RISK, "/fapi/v1/listenKey"):
                await until(lambda: not faults.rest_faults_next, f"{path} {status} was asked", within_sec=10)
        faults.rest_faults_next = []
    external_events.send_frame(exchange, DEEP.encode())
    external_events.send_frame(exchange, b'{"e":"ACCOUNT_UPDATE","T":1,"a":{"P":' + DEEP.encode())
    exchange.odd_marks["BTCUSDT"] = {"p": f"<raw>{DEEP}"}
    exchange.odd_rows["ETHUSDT"] = {"markPrice": f"<raw>{DEEP}"}
    await trio.sleep(3)
    exchange.odd_marks.clear()
    exchange.odd_rows.clear()
    await is_ready(lambda: rig.url, within_sec=15)
    await rig.trusts_the_stream(within_sec=30)
    answer = await rig.pipeline.ask("after", plan(rig, "BTCUSDT"))
    assert answer["reason"] == "open_permit_granted", answer
