from __future__ import annotations

import msgspec
import trio
import trio.testing

from monitoring.status.readiness import unready
from supervision import Heartbeat
from tests.background import background
from tests.monitoring.status_rig import StatusRig
from tests.monitoring.test_readiness import READY

CANNOT = "Symbol cannot be read, its plans are denied"


def lines(rig: StatusRig) -> list[tuple[str, str, dict[str, object]]]:
    """Level, message and values of each line about symbols, which are taken out of the log."""
    found = [
        (call.method_name, str(call.args[0] if call.args else call.kwargs["event"]), dict(call.kwargs))
        for call in rig.logged.calls
    ]
    rig.logged.calls.clear()
    for _, _, values in found:
        values.pop("event", None)
    return [line for line in found if "ymbol" in line[1]]


async def test_a_symbol_is_named_once_when_it_becomes_unreadable_and_once_when_it_can_be_read_again() -> None:
    rig = StatusRig()
    rig.book.set_unreadable("ABCUSDT", "updateTime: Expected `int`, got `null`")
    for _ in range(3):
        rig.monitor.unreadable.log_changes(rig.log)
    why = "position: updateTime: Expected `int`, got `null`"
    assert lines(rig) == [("warning", CANNOT, {"symbol": "ABCUSDT", "why": why})]
    rig.book.set_unreadable("ABCUSDT", "another text of the next read")
    rig.monitor.unreadable.log_changes(rig.log)
    assert lines(rig) == []
    rig.book.set_unreadable("ABCUSDT", None)
    for _ in range(3):
        rig.monitor.unreadable.log_changes(rig.log)
    assert lines(rig) == [("warning", "Symbol can be read again", {"symbol": "ABCUSDT"})]


async def test_a_symbol_without_readable_trading_rules_is_named_with_that_source(rig: StatusRig) -> None:
    rig.book.set_unreadable("ABCUSDT", "no updateTime")
    rig.channels.unreadable_rules.send({"ABCUSDT": "no filters", "XYZUSDT": "no status"})
    assert rig.monitor.unreadable.now() == {
        "ABCUSDT": "exchangeInfo: no filters",
        "XYZUSDT": "exchangeInfo: no status",
    }
    rig.channels.unreadable_rules.send({})
    assert rig.monitor.unreadable.now() == {"ABCUSDT": "position: no updateTime"}


async def test_a_format_change_that_concerns_every_symbol_is_a_bounded_number_of_lines() -> None:
    rig = StatusRig()
    rig.channels.unreadable_rules.send({f"S{number:03}USDT": "x" * 5000 for number in range(569)})
    rig.monitor.unreadable.log_changes(rig.log)
    seen = lines(rig)
    assert [line[2].get("symbol") for line in seen[:20]] == [f"S{number:03}USDT" for number in range(20)]
    assert seen[20:] == [("warning", "More symbols cannot be read, their plans are denied", {"symbols": 549})]
    assert all(len(str(line[2].get("why"))) <= 200 for line in seen)
    rig.channels.unreadable_rules.send({})
    rig.monitor.unreadable.log_changes(rig.log)
    assert len(lines(rig)) == 21


async def test_the_metrics_actor_logs_it_within_a_second_and_repeats_nothing_after_a_restart(
    autojump_clock: trio.testing.MockClock, rig: StatusRig
) -> None:
    for expected in (1, 0):
        async with background(rig.metrics.run, Heartbeat()):
            await rig.channels.http_address.changed()
            rig.book.set_unreadable("ABCUSDT", "no updateTime")
            await trio.sleep(1.1)
            assert len(lines(rig)) == expected


async def test_the_status_names_fifty_symbols_and_counts_all(rig: StatusRig) -> None:
    assert rig.monitor.status.status().exchange.unreadable.count == 0
    rig.channels.unreadable_rules.send({f"S{number:03}USDT": "no filters" for number in range(60)})
    rig.exchange_trouble = "the exchange refuses the API key (-2015)"
    shown = rig.monitor.status.status().exchange
    assert shown.trouble == "the exchange refuses the API key (-2015)"
    assert shown.unreadable.count == 60
    assert [each.symbol for each in shown.unreadable.symbols] == [f"S{number:03}USDT" for number in range(50)]
    page = (await rig.monitor.page.document()).decode()
    assert "exchangeInfo: no filters" in page
    assert "and 10 more" in page


async def test_an_unreadable_symbol_does_not_make_the_service_unready(rig: StatusRig) -> None:
    rig.book.set_unreadable("BTCUSDT", "no updateTime")
    assert rig.monitor.status.readiness().ready


async def test_the_cause_of_old_snapshots_is_in_the_line_of_readyz(rig: StatusRig) -> None:
    rig.clock.advance(60.0)
    rig.exchange_trouble = "the exchange has banned this address until 12:03:20 UTC"
    assert rig.monitor.status.readiness().reasons == [
        "all 1 snapshots are older than 10 s or not trusted, "
        "because the exchange has banned this address until 12:03:20 UTC"
    ]


def test_facts_missing_for_one_cause_are_one_sentence() -> None:
    facts = msgspec.structs.replace(
        READY,
        symbols_known=None,
        hedge_mode_known=False,
        allowlist_known=False,
        snapshots=0,
        snapshots_fresh=0,
        exchange_trouble="the web firewall refuses requests (403)",
    )
    assert unready(facts) == [
        "exchangeInfo was not read yet and the account's position mode is not known yet and "
        "there is no snapshot yet, because the web firewall refuses requests (403)",
        "the allowlist is not known yet",
    ]
    assert unready(msgspec.structs.replace(READY, exchange_trouble="the key is refused")) == []


async def test_a_row_without_a_readable_symbol_is_shown_with_a_question_mark(rig: StatusRig) -> None:
    rig.book.set_unreadable("", "symbol: Expected `str`, got `null`")
    assert rig.monitor.unreadable.now() == {"?": "position: symbol: Expected `str`, got `null`"}
