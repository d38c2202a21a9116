from __future__ import annotations

from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from commands.demo.exchange_client import RequestCost
from commands.demo.final_check import FinalCheck
from commands.demo.machine_load import Load
from commands.demo.outcome import Outcome, allowed, denied, refused
from commands.demo.summary import Conclusion, Summary, summarise
from commands.demo.tally import Decided, Spread, Tally, spread
from commands.demo.view import Screen, live_view, plain_line

_GOOD = FinalCheck(symbols=569, open_positions=3, differences=(), unacknowledged=0)
_CLOSED = allowed("sanity_checks_passed", Decimal("0.028"))


def _decide(tally: Tally, outcome: Outcome, expected: Outcome | None = None, latency_ms: float = 5) -> None:
    kind = "close" if outcome.quantity is not None else None
    as_expected = expected is None or expected == outcome
    decided = Decided(1_760_000_000, "BTCUSDT", "full close", outcome, latency_ms, as_expected)
    tally.decided(decided, expected or outcome, kind=kind)


def _tally() -> Tally:
    tally = Tally()
    _decide(tally, _CLOSED, latency_ms=4)
    _decide(tally, denied("no_position"), latency_ms=6)
    _decide(tally, denied("no_position"), latency_ms=8)
    _decide(tally, refused("permit_timeout (missing: Governor)"), latency_ms=1200)
    tally.oldest_snapshot_sec.extend((1.0, 1.5))
    tally.median_snapshot_sec.extend((0.5, 0.7))
    return tally


def _summary(tally: Tally | None = None, final_check: FinalCheck = _GOOD, **changes: Any) -> Summary:
    reported = {"dead_letters": 0, "daemon_exit_code": 0, "duration_sec": 20.0, "load": Load(), **changes}
    costs = [
        RequestCost(1, "/fapi/v2/positionRisk", 5),
        RequestCost(2, "/fapi/v2/positionRisk", 5),
        RequestCost(3, "/fapi/v1/order", 0),
    ]
    return summarise(tally or _tally(), final_check, costs, **reported)


def _shown(summary: Summary) -> str:
    out = StringIO()
    Screen(Console(file=out, width=300)).conclude(summary)
    return out.getvalue()


def test_the_summary_counts_plans_by_what_became_of_them() -> None:
    shown = _shown(_summary())
    assert "plans           4 in 20.0 s" in shown
    assert "allowed         1: close 1" in shown
    assert "denied          2: no_position 2" in shown
    assert "no permit       1: permit_timeout (missing: Governor) 1" in shown


def test_waiting_for_others_is_no_permit_latency() -> None:
    assert spread(_tally().permit_ms) == Spread(count=3, median=6, p99=8, maximum=8)


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
            "1 differences from the exchange",
        ),
        ({"final_check": FinalCheck(569, 3, (), 2)}, "2 entries of plans and results not acknowledged"),
        ({"final_check": FinalCheck(569, 3, (), 0, ("ab", "cd"))}, "decided more than once: ab, cd"),
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
        ({"final_check": FinalCheck(569, 3, (), 2)}, "2 entries of plans and results not acknowledged"),
        (
            {"final_check": FinalCheck(569, 3, (), 2), "dead_letters": -1},
            "2 entries of plans and results not acknowledged; -1 dead letters of 0 unusable entries",
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
        {"final_check": FinalCheck(569, 3, (), 2, ("ab",))},
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
    assert "permit latency  p50 6.0 ms, p99 8.0 ms, max 8.0 ms" in shown
    assert "snapshot ages   max 1.50 s, median 0.60 s" in shown
    assert "ledger          equals the exchange: 569 symbols, 3 with a position" in shown
    assert "OK: " in shown and "FAILED" not in shown
    assert "\x1b" not in shown


def test_the_line_for_a_log_has_the_numbers() -> None:
    assert plain_line(_tally(), 12.34).split()[:5] == [
        "12.3s",
        "plans=4",
        "allowed=1",
        "denied=2",
        "refused=1",
    ]


def test_the_live_view_fits_its_terminal_and_shows_the_latest_plans() -> None:
    out = StringIO()
    console = Console(file=out, width=120, height=30, force_terminal=True)
    console.print(live_view(_tally(), 3.0, feed_rows=2))
    shown = out.getvalue()
    assert "permit_timeout (missing: Governor)" in shown
    assert "no_position" in shown
    assert "sanity_checks_passed" not in shown  # two rows only, and not the latest
    assert shown.count("\n") <= 30


def test_a_spread_of_nothing_knows_nothing() -> None:
    assert spread([]) == Spread(0, None, None, None)


def test_the_p99_is_a_measured_value_that_99_percent_do_not_exceed() -> None:
    assert spread([float(value) for value in range(1, 201)]).p99 == 198
    assert spread([7.0]).p99 == 7
