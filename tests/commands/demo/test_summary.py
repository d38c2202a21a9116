from __future__ import annotations

from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from commands.demo.chain import steps
from commands.demo.exchange_client import RequestCost
from commands.demo.final_check import FinalCheck
from commands.demo.machine_load import Load
from commands.demo.outcome import Outcome, allowed, denied, no_plan, refused
from commands.demo.record import Record, Step
from commands.demo.stage import Shown
from commands.demo.summary import Conclusion, Summary, summarise
from commands.demo.tally import Decided, Spread, Tally, spread
from commands.demo.view import Screen, live_view, plain_line

_GOOD = FinalCheck(symbols=569, open_positions=3, differences=(), unacknowledged=0)
_CLOSED = allowed("sanity_checks_passed", Decimal("0.028"))


def _decide(
    tally: Tally, outcome: Outcome, expected: Outcome | None = None, *, of_intent: bool = False
) -> None:
    kind = "close" if outcome.quantity is not None else None
    as_expected = expected is None or expected == outcome
    decided = Decided(1_760_000_000, "BTCUSDT", "full close", outcome, 5, as_expected)
    tally.decided(decided, expected or outcome, kind=kind, of_intent=of_intent)


def _tally() -> Tally:
    tally = Tally()
    _decide(tally, _CLOSED, of_intent=True)
    _decide(tally, denied("no_position"))
    _decide(tally, denied("no_position"), of_intent=True)
    _decide(tally, refused("permit_timeout (missing: Governor)"), of_intent=True)
    _decide(tally, refused("harvest_target"))
    _decide(tally, no_plan("flat_close"), of_intent=True)
    tally.orders = tally.booked = 1
    tally.oldest_snapshot_sec.extend((1.0, 1.5))
    tally.median_snapshot_sec.extend((0.5, 0.7))
    return tally


def _record() -> Record:
    record = Record()
    for took_ms in (4.0, 6.0, 8.0):
        record.step(Step.P33, took_ms)
    return record


def _summary(tally: Tally | None = None, final_check: FinalCheck = _GOOD, **changes: Any) -> Summary:
    reported = {"dead_letters": 0, "daemon_exit_code": 0, "duration_sec": 20.0, "load": Load(), **changes}
    costs = [
        RequestCost(1, "/fapi/v2/positionRisk", 5),
        RequestCost(2, "/fapi/v2/positionRisk", 5),
        RequestCost(3, "/fapi/v1/order", 0),
    ]
    return summarise(tally or _tally(), _record(), final_check, costs, **reported)


def _shown(summary: Summary) -> str:
    out = StringIO()
    Screen(Console(file=out, width=300)).conclude(summary)
    return out.getvalue()


def test_the_summary_counts_intents_and_plans_by_what_became_of_them() -> None:
    shown = _shown(_summary())
    assert "plans           5 in 20.0 s, 4 intents" in shown
    assert "allowed         1: close 1" in shown
    rows = [" ".join(line.split()) for line in shown.splitlines()]
    begun = rows.index("accounts 4 intents: 3 plans, 1 refusals")
    assert rows[begun + 1 : begun + 3] == ["5 plans: 1 orders, 4 without one", "1 orders booked"]
    assert rows[1:7] == [
        "intents 4",
        "plans 5 1 flat_close 1",
        "Governor 4 1 permit_timeout (missing: Governor) 1",
        "P3.3 2 2 6 ms 8 ms no_position 2",
        "orders 1 1 harvest_target 1",
        "booked 1",
    ]


def test_a_step_that_stops_nothing_and_orders_nothing_adds_up() -> None:
    tally = Tally()
    _decide(tally, allowed("no_quantity_change", Decimal(0)))
    rows = {row.step: row for row in steps(tally, Record())}
    assert rows[Step.ORDERS].stopped == [("nothing to order", 1)]
    assert (rows[Step.P33].through, rows[Step.ORDERS].through) == (1, 0)


def test_the_request_weight_is_that_of_all_requests() -> None:
    summary = _summary()
    assert summary.request_weight == 10
    assert summary.weight_by_path == [("/fapi/v2/positionRisk", 2, 10)]


def test_an_outcome_that_was_not_expected_fails_the_demo_and_is_shown() -> None:
    tally = _tally()
    _decide(tally, _CLOSED, expected=denied("no_position"))
    summary = _summary(tally)
    assert summary.conclusion is Conclusion.FAILED
    assert (
        "unexpected: BTCUSDT: full close: allowed 0.028 (sanity_checks_passed), "
        "but denied (no_position) was expected" in _shown(summary)
    )


@pytest.mark.parametrize(
    ("changes", "failure"),
    [
        (
            {"final_check": FinalCheck(569, 3, ("BTCUSDT: exchange 1, ledger 0",), 0)},
            "1 things do not add up",
        ),
        (
            {"final_check": FinalCheck(569, 3, (), 2)},
            "2 entries of intents, plans and results not acknowledged",
        ),
        ({"daemon_exit_code": -11}, "the daemon ended with -11"),
        ({"daemon_exit_code": -9}, "the daemon did not stop in time"),
        ({"dead_letters": 1}, "1 dead letters of 0 unusable entries"),
        ({"tally": Tally()}, "no plan was decided"),
    ],
)
def test_a_final_check_that_finds_differences_fails_the_demo(changes: dict[str, Any], failure: str) -> None:
    assert _summary().conclusion is Conclusion.OK
    summary = _summary(**changes)
    assert summary.conclusion is Conclusion.FAILED
    assert f"FAILED: {failure}" in _shown(summary)


_BUSY = Load(late_sec=1.84, waiting=0.98, stolen=0.03)


def _late_tally(load: Load = _BUSY, expected: Outcome = _CLOSED) -> Tally:
    tally = Tally(lambda: load)
    _decide(tally, _CLOSED)
    _decide(tally, refused("permit_timeout (missing: P3.3)"), expected=expected)
    return tally


def test_lateness_on_a_busy_machine_is_inconclusive_with_the_numbers() -> None:
    summary = _summary(_late_tally())
    assert summary.conclusion is Conclusion.INCONCLUSIVE
    shown = _shown(summary)
    assert "too late: BTCUSDT: full close: refused (permit_timeout (missing: P3.3)), but allowed" in shown
    assert (
        "INCONCLUSIVE: this machine was too busy: 1 outcomes came too late (timers fired up to 1.84 s late, "
        "processes waited for a processor 98% of the time, 3% of the processors' time was stolen)" in shown
    )
    assert "FAILED" not in shown


def test_the_same_on_a_calm_machine_fails() -> None:
    assert _summary(_late_tally(Load(waiting=0.2))).conclusion is Conclusion.FAILED


def test_a_machine_that_became_busy_afterwards_excuses_nothing() -> None:
    assert _summary(_late_tally(Load()), load=_BUSY).conclusion is Conclusion.FAILED


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"final_check": FinalCheck(569, 3, (), 2)},
            "2 entries of intents, plans and results not acknowledged",
        ),
        (
            {"final_check": FinalCheck(569, 3, (), 2), "dead_letters": -1},
            "2 entries of intents, plans and results not acknowledged; -1 dead letters of 0 unusable entries",
        ),
        ({"daemon_exit_code": -9}, "the daemon did not stop in time"),
        ({"tally": Tally()}, "no plan was decided"),
    ],
)
def test_an_end_that_is_behind_on_a_busy_machine_is_inconclusive(
    changes: dict[str, Any], reason: str
) -> None:
    summary = _summary(**changes, load=_BUSY)
    assert summary.conclusion is Conclusion.INCONCLUSIVE
    assert f"INCONCLUSIVE: this machine was too busy: {reason} (timers" in _shown(summary)


@pytest.mark.parametrize(
    "changes",
    [
        {"final_check": FinalCheck(569, 3, ("BTCUSDT: exchange 1, ledger 0",), 0)},
        {"final_check": FinalCheck(569, 3, ("BTCUSDT: exchange 1, ledger 0",), 2)},
        {"daemon_exit_code": 1},
        {"dead_letters": 1},
    ],
)
def test_a_busy_machine_excuses_neither_a_difference_nor_what_the_daemon_did_wrong(
    changes: dict[str, Any],
) -> None:
    assert _summary(_late_tally(), **changes, load=_BUSY).conclusion is Conclusion.FAILED


def test_a_busy_machine_excuses_no_second_allow_of_the_same_close() -> None:
    tally = Tally(lambda: _BUSY)
    _decide(tally, _CLOSED, expected=denied("in_flight_permit"))
    assert _summary(tally, load=_BUSY).conclusion is Conclusion.FAILED


def test_a_summary_in_which_all_agrees_says_so_without_colours_off_a_terminal() -> None:
    shown = _shown(_summary())
    assert "snapshot ages   max 1.50 s, median 0.60 s" in shown
    assert "ledger          equals the exchange: 569 symbols, 3 with a position" in shown
    assert "open cases      none" in shown
    assert "OK: " in shown and "FAILED" not in shown
    assert "\x1b" not in shown


def test_cases_that_were_left_open_or_cut_off_are_named() -> None:
    check = FinalCheck(569, 3, (), 0, False, ("LTCUSDT",), ("ETHUSDT", "LTCUSDT"))
    shown = _shown(_summary(final_check=check))
    assert "open cases      LTCUSDT (left open on stage), ETHUSDT (cut off, not judged)" in shown


def test_the_line_for_a_log_has_the_numbers() -> None:
    assert plain_line(_tally(), _record(), 12.34).split()[:8] == [
        "12.3s",
        "intents=4",
        "plans=5",
        "governor=4",
        "p3.3=2",
        "orders=1",
        "booked=1",
        "permit_p50=6.0",
    ]


def test_the_live_view_fits_its_terminal_and_shows_chain_stage_and_the_latest_plans() -> None:
    tally = _tally()
    for _ in range(50):
        _decide(tally, denied("no_position"))
    events = [Shown(3.0, "ETHUSDT", "result lost", ["filled, result deleted 0.4 s"]) for _ in range(5)]
    out = StringIO()
    console = Console(file=out, width=100, height=30, force_terminal=True, color_system=None)
    console.print(live_view(tally, _record(), events, "The chain", 30))
    shown = out.getvalue()
    assert shown.count("\n") <= 29
    assert shown.count("filled, result deleted 0.4 s") == 5
    assert shown.count("full close") >= 4
    assert "denied (no_position)" in shown and "no_position 52" in shown


def test_a_spread_of_nothing_knows_nothing() -> None:
    assert spread([]) == Spread(0, None, None, None)


def test_the_p99_is_a_measured_value_that_99_percent_do_not_exceed() -> None:
    assert spread([float(value) for value in range(1, 201)]).p99 == 198
    assert spread([7.0]).p99 == 7
