"""The status on a terminal at several widths."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from commands.status import DecisionRate
from commands.status.document import STATUS, Status
from commands.status.view import Look, StatusView


def node(name: str, *children: dict[str, Any], **changes: Any) -> dict[str, Any]:
    usual = {"name": name, "state": "running", "restarts": 0, "since_sec": 75.0, "children": list(children)}
    return {**usual, **changes}


def document(**changes: Any) -> Status:
    """Return a service in trouble in every way; `changes` replace fields of the answer."""
    shown = {
        "build_tag": "position-state-brain-1.0",
        "instance": "host:8045",
        "uptime_sec": 7265.0,
        "ready": False,
        "reasons": ["waiting for Redis at redis://localhost:6379/0 (permit_evaluator)"],
        "tree": node(
            "root",
            node(
                "decisions",
                node("permit_evaluator", state="waiting", waiting_for=["Redis at redis://localhost:6379/0"]),
                node("ledger_writer", restarts=2, last_reason="ValueError: \x1b[2Jno"),
            ),
            node("snapshots", node("snapshot_fetcher_0"), node("snapshot_fetcher_1")),
        ),
        "lease": {"held": False, "holder": "other:8045"},
        "stream": {
            "trusted": False,
            "losses": 2,
            "last_loss": "pong is late",
            "last_lost_at": "2026-11-21T10:00:00.000Z",
        },
        "snapshots": {
            "count": 569,
            "stale": 12,
            "oldest_age_sec": 65.0,
            "median_age_sec": 1.25,
            "stale_threshold_sec": 10.0,
        },
        "allowlist": {"source": "universe_active", "stale": True, "count": 566, "age_sec": 400.0},
        "hedge_mode": True,
        "gates": {
            "allow": 900,
            "deny": 100,
            "last_5_min": {
                "allow": 30,
                "deny": 10,
                "allow_by_reason": {"sanity_checks_passed": 30},
                "deny_by_reason": {"stale_exchange_state": 8, "no_position": 2},
            },
        },
        "ledgers": {
            "count": 569,
            "mismatches": [
                {"symbol": "BTCUSDT", "exchange": "0.038", "ledger": "0.035", "apart_sec": 12.0},
                *({"symbol": f"S{number}", "exchange": "1", "ledger": None} for number in range(6)),
            ],
        },
        "weight": {
            "own_used": 1100,
            "own_budget": 1200,
            "address_used": 2000,
            "address_limit": 2400,
            "ban_left_sec": None,
        },
        "append_only": False,
        **changes,
    }
    return STATUS.decode(json.dumps(shown))


def drawn(status: Status, *, width: int = 80, height: int = 200, **look: Any) -> list[str]:
    """Lines as a terminal without colours shows them."""
    live = look.pop("live", False)
    console = Console(
        file=StringIO(), width=width, height=height, force_terminal=True, color_system=None, markup=False
    )
    seen = Look("http://127.0.0.1:8045", status, look.pop("per_sec", 12.34), **look)
    with console.capture() as captured:
        console.print(StatusView(seen, live=live))
    return [line.rstrip() for line in captured.get().splitlines()]


def words(lines: list[str]) -> str:
    return " ".join(" ".join(lines).split())


def test_the_state_and_its_reason_come_first() -> None:
    lines = drawn(document())
    assert lines[0].startswith(" NOT READY  host:8045  up 2 h 1 min")
    assert lines[2].strip() == "waiting for Redis at redis://localhost:6379/0 (permit_evaluator)"
    assert drawn(document(ready=True, reasons=[]))[0].startswith(" READY  host:8045")


@pytest.mark.parametrize("width", [36, 42, 80, 109, 120, 200])
def test_everything_is_shown_at_every_width_and_nothing_is_wider(width: int) -> None:
    lines = drawn(document(), width=width)
    assert max(map(len, lines)) <= width
    # In a wide terminal the tree stands beside the rest.
    edge = next(line.index("Supervision tree") for line in lines if "Supervision tree" in line)
    columns = [[line[:edge] for line in lines], [line[edge:] for line in lines]]
    text = words(columns[0] + columns[1]).replace(" ", "")
    assert (edge > 0) is (width >= 110)
    for shown in (
        "569,12stale,oldest1min5s",
        "median1.2s,limit10s",
        "nottrusted,positionsarepolled",
        "12.3asecond",
        "1100of1200aminute",
        "other:8045holdsit",
        "566symbols",
        "hedge",
        "30allowed,10denied",
        "stale_exchange_state",
        "permit_evaluator",
        "snapshot_fetcher_1",
        "2restarts",
        "keepsnoappend-onlyfile",
    ):
        assert shown in text


def test_mismatches_of_the_ledger_are_reported_one_by_one_up_to_five() -> None:
    text = words(drawn(document()))
    assert "569, 7 not as the exchange has it BTCUSDT: exchange 0.038, ledger 0.035, for 12 s" in text
    assert "S0: exchange 1, ledger none" in text
    assert "and 2 more" in text
    assert "all as the exchange has it" in words(drawn(document(ledgers={"count": 569, "mismatches": []})))
    assert "ledgers" not in words(drawn(document(ledgers=None)))


def test_trust_that_was_lost_is_reported_with_its_reason() -> None:
    text = words(drawn(document()))
    assert "trust lost 2 times, last 2026-11-21 10:00:00 UTC: pong is late" in text


def test_bars_are_as_long_as_their_share_of_the_most_frequent() -> None:
    lines = [line.split() for line in drawn(document()) if "█" in line]
    assert [(row[0], row[1], len(row[2]), row[3]) for row in lines] == [
        ("30", "75%", 12, "sanity_checks_passed"),
        ("8", "20%", 3, "stale_exchange_state"),
        ("2", "5%", 1, "no_position"),
    ]


def test_a_ban_is_reported_instead_of_the_weight() -> None:
    assert "banned for 2 min" in words(drawn(document(weight={"ban_left_sec": 120.0})))


def test_an_older_service_that_reports_less_of_the_weight_is_understood() -> None:
    settings = [{"name": "P33_WEIGHT_BUDGET_PER_MIN", "value": "900", "origin": "env"}]
    status = document(weight=None, request_weight_used=40, settings=settings)
    assert "weight 40 of 900 a minute" in words(drawn(status))


def test_text_from_outside_cannot_command_the_terminal() -> None:
    lines = drawn(document(reasons=["\x1b]0;title\x07"], instance="\x1b[31mhost"))
    assert not any("\x1b" in line or "\x07" in line for line in lines)
    assert "\\x1b[2Jno" in words(lines)


def test_a_low_terminal_shows_only_the_actors_in_trouble() -> None:
    lines = drawn(document(), height=30, live=True)
    text = words(lines)
    assert "permit_evaluator waiting for Redis" in text
    assert "ledger_writer running 1 min 15 s, 2 restarts: ValueError" in text
    assert "snapshot_fetcher_0" not in text
    assert "2 actors well, never restarted" in text
    assert "snapshot_fetcher_0" in words(drawn(document(), height=60, live=True))


def test_a_daemon_that_stops_answering_is_shown_with_its_last_status() -> None:
    lines = drawn(document(ready=True, reasons=[]), lost="no daemon answers", lost_sec=7.0, per_sec=None)
    assert lines[0].startswith(" NO ANSWER ")
    assert "no daemon answers, for 7.0 s" in words(lines)
    assert "decisions –" in words(lines)


def counted(count: int, **changes: Any) -> Status:
    gates = {"allow": count, "deny": 0, "last_5_min": {"allow": 60, "deny": 0}}
    return document(gates=gates, **changes)


def test_the_rate_is_that_of_the_last_ten_seconds() -> None:
    rate = DecisionRate()
    assert rate.after(counted(100, uptime_sec=600.0), 0.0) == pytest.approx(0.2)
    assert rate.after(counted(110), 1.0) == pytest.approx(10)
    assert rate.after(counted(110), 5.0) == pytest.approx(2)
    assert rate.after(counted(120), 11.5) == pytest.approx(10 / 6.5)


def test_a_young_service_has_decided_in_its_own_time() -> None:
    assert DecisionRate().after(counted(60, uptime_sec=30.0), 0.0) == pytest.approx(2)
    assert DecisionRate().after(counted(60, uptime_sec=None), 0.0) is None


def test_another_process_begins_to_count_anew() -> None:
    rate = DecisionRate()
    rate.after(counted(100), 0.0)
    assert rate.after(counted(3, uptime_sec=300.0), 1.0) == pytest.approx(0.2)


def test_a_short_wait_for_the_exchange_is_no_trouble() -> None:
    def tree(since_sec: float) -> dict[str, Any]:
        waiting = node("snapshot_fetcher_0", state="waiting", waiting_for=["positions"], since_sec=since_sec)
        return node("root", waiting)

    assert "snapshot_fetcher_0" not in words(drawn(document(tree=tree(0.2)), height=10, live=True))
    text = words(drawn(document(tree=tree(8.0)), height=10, live=True))
    assert "snapshot_fetcher_0 waiting for positions 8.0 s" in text


def test_a_fill_in_flight_is_no_mismatch() -> None:
    status = document(ledgers={"count": 5, "in_flight": 2, "mismatches": []})
    assert "5, all as the exchange has it 2 with a fill in flight" in words(drawn(status))


def test_unknown_executions_and_results_that_wait_are_shown() -> None:
    executions = [
        {"symbol": "BTCUSDT", "plan_id": f"plan-{number}", "ends_in_sec": 61} for number in range(9)
    ]
    waiting = [{"symbol": "ETHUSDT", "why": "its legs are missing in the ledger: set long_amt"}]
    text = words(
        drawn(
            document(
                unknown_executions={"count": 12, "executions": executions},
                ledgers={"count": 3, "waiting_results": waiting},
            )
        )
    )
    assert "unknown executions 12 orders that may have been filled BTCUSDT: plan plan-0, for" in text
    assert "result waits ETHUSDT: its legs are missing in the ledger: set long_amt" in text
    assert "unknown executions" not in words(drawn(document()))


def test_a_symbol_that_cannot_be_read_and_a_refusal_of_the_exchange_are_shown() -> None:
    symbols = [{"symbol": f"S{number}\x1b[2J", "why": "position: no updateTime"} for number in range(50)]
    exchange = {"trouble": "the key is refused", "unreadable": {"count": 60, "symbols": symbols}}
    lines = drawn(document(ready=True, reasons=[], exchange=exchange))
    assert lines[2].strip() == "the key is refused"
    text = words(lines)
    assert "unreadable 60, plans denied S0\\x1b[2J: position: no updateTime S1" in text
    assert "and 57 more" in text
    # Where it is why nothing is decided, the reasons say so already.
    assert "the key is refused" not in words(drawn(document(exchange=exchange)))
    assert "unreadable" not in words(drawn(document()))


def governed(**changes: Any) -> str:
    usual = {
        "mode": "on",
        "doing": "trading ACTIVE",
        "trading_state": "ACTIVE",
        "kill_switch": False,
        "equity": "980",
        "heat": 0.5,
        "drawdown": 0.02,
        "limits": [
            {"name": "GOV_MAX_OPEN_POSITIONS", "symbol": None, "used": "4", "limit": "10", "full": 0.4},
            {"name": "GOV_MAX_EXEC_PER_HOUR", "symbol": "ETHUSDT", "used": "3", "limit": "3", "full": 1.0},
            {"name": "RISK_MAX_LEVERAGE", "symbol": None, "used": None, "limit": "10", "full": None},
            {"name": "A", "symbol": None, "used": "1", "limit": "10", "full": 0.1},
            {"name": "B", "symbol": None, "used": "0", "limit": "10", "full": 0.0},
        ],
    }
    return words(drawn(document(roles={"governor": {**usual, **changes}}), width=100))


def test_the_governors_account_and_its_fullest_limits_are_shown() -> None:
    text = governed()
    assert "governor on trading ACTIVE trading ACTIVE equity 980 USDT, drawdown 2.00%, heat 0.500" in text
    assert "limits 100% GOV_MAX_EXEC_PER_HOUR ETHUSDT: 3 of 3" in text
    assert "40% GOV_MAX_OPEN_POSITIONS: 4 of 10" in text and "10% A: 1 of 10" in text
    assert "RISK_MAX_LEVERAGE" not in text and "B: 0" not in text


def test_a_governor_without_an_equity_says_that_opens_wait_and_a_standby_shows_none() -> None:
    assert "equity unknown, opens wait" in governed(equity=None, drawdown=None, heat=None)
    standby = governed(trading_state=None, doing="waits for the lease", limits=[])
    assert "waits for the lease" in standby and "equity" not in standby


def test_open_cases_of_the_reconcile_engine_are_shown_those_for_a_person_first() -> None:
    cases = [
        {
            "symbol": f"S{number}\x1b[2J",
            "status": "MANUAL_REQUIRED",
            "difference": "-0.3",
            "why": "a person sold",
            "for_sec": 95.0,
        }
        for number in range(7)
    ]
    role = {"mode": "on", "doing": "compares 56 symbols", "open_cases": 9, "cases": cases}
    text = words(drawn(document(roles={"reconcile": role}), width=100))
    assert "reconcile on compares 56 symbols" in text
    assert "S0\\x1b[2J MANUAL_REQUIRED, -0.3 for 1 min 35 s a person sold" in text
    assert "and 4 more" in text
