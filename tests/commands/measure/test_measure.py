"""`check --measure` where the exchange behaves in each of the ways that it may."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec
import pytest
import redis

from commands.check.measure import MeasureOptions, measure
from commands.clients.embedded_redis import private_redis
from settings import SettingsError
from simulator.faults import RestFault
from store.keys import Keys
from tests.commands.deployment import run_command
from tests.commands.measure.rig import NO_REDIS, QUICK, Found, Rig, answering
from tests.integration.surroundings import trade

V2 = "weight of `GET /fapi/v2/positionRisk`"
UNKNOWN_KEY = "handshake on `/private` with a made-up listen key"


async def test_everything_is_measured_without_changing_anything(measured: Rig) -> None:
    found = await measured.measure()
    assert found.code == 0
    assert {row.result for row in found.rows} == {"as documented", "measured", "skipped"}
    assert found.row("DELETE").result == "skipped"
    assert not measured.orders()
    assert not measured.deletions()
    changing = {(each.method, each.path) for each in measured.exchange.requests.records()} - {
        ("POST", "/fapi/v1/listenKey"),
        ("PUT", "/fapi/v1/listenKey"),
    }
    assert {method for method, _ in changing} == {"GET"}


async def test_every_read_has_its_weight(measured: Rig) -> None:
    found = await measured.measure()
    weights = {row.asked: row.found for row in found.rows if row.asked.startswith("weight of")}
    assert weights == {
        "weight of `GET /fapi/v1/time`": "1",
        "weight of `GET /fapi/v1/exchangeInfo`": "1",
        "weight of `GET /fapi/v2/positionRisk`": "5",
        "weight of `GET /fapi/v2/positionRisk`, one symbol": "5",
        "weight of `GET /fapi/v3/positionRisk`": "5",
        "weight of `GET /fapi/v1/symbolConfig`": "5",
        "weight of `GET /fapi/v1/accountConfig`": "5",
        "weight of `GET /fapi/v1/positionSide/dual`": "30",
        "weight of `GET /fapi/v1/ticker/24hr`": "40",
        "weight of `POST /fapi/v1/listenKey`": "1",
        "weight of `PUT /fapi/v1/listenKey`": "1",
        "weight of `GET /fapi/v1/userTrades`, one symbol": "5",
    }


async def test_the_printed_table_is_markdown_without_secrets(measured: Rig) -> None:
    options = MeasureOptions(delete_key=True)
    keys = set()

    def see(question: str) -> str:
        keys.add(measured.exchange.listen_keys.live)
        return "yes"

    code = await run_command(measure, measured.environ, options, ask=see, pace=QUICK)
    printed = measured.capsys.readouterr()
    assert code == 0
    lines = printed.out.splitlines()
    assert lines[0].startswith(f"Measured at the simulator, {measured.environ['BINANCE_REST_URL']}")
    assert lines[2:4] == ["| asked | found | documents | result |", "| --- | --- | --- | --- |"]
    table = [line for line in lines if line.startswith("| ")]
    assert {line.replace("\\|", "").count("|") for line in table} == {5}
    assert len(table) > 30
    exchange = measured.exchange
    live = exchange.listen_keys.live
    for secret in (exchange.api_key, exchange.api_secret, live, "signature", "listenKey="):
        assert secret is not None
        assert secret not in printed.out + printed.err


@pytest.mark.parametrize("weight", [5, 10])
async def test_the_header_shows_the_weight_of_v2(weight: int, measured: Rig) -> None:
    measured.exchange.weights.overrides["/fapi/v2/positionRisk"] = weight
    found = await measured.measure()
    rows = [row for row in found.rows if row.asked.startswith(V2)]
    assert [(row.found, row.result) for row in rows] == [(str(weight), "measured")] * 2
    assert rows[0].documents["certainty"] == "contradict"


async def test_a_weight_other_than_documented_differs(measured: Rig) -> None:
    measured.exchange.weights.overrides["/fapi/v1/symbolConfig"] = 7
    row = (await measured.measure()).row("weight of `GET /fapi/v1/symbolConfig`")
    assert (row.found, row.result) == ("7", "DIFFERS")


async def test_a_removed_v2_is_an_answer_and_no_failure(measured: Rig) -> None:
    measured.exchange.faults.v2_position_risk = "410"
    found = await measured.measure()
    assert found.code == 0
    assert all("removed" in row.found for row in found.rows if row.asked.startswith(V2))
    assert "v2 is removed" in found.row("flat rows of v2").found
    assert found.row("does v3").result == "as documented"


@pytest.mark.parametrize(
    ("has_price", "result", "words"), [(False, "as documented", "0 in 16 of 16"), (True, "DIFFERS", "0 in 0")]
)
async def test_the_flat_row_shows_whether_it_has_a_mark_price(
    has_price: bool, result: str, words: str, measured: Rig
) -> None:
    measured.exchange.faults.flat_rows_have_mark_price = has_price
    row = (await measured.measure()).row("`markPrice` of a flat v2 row")
    assert row.result == result
    assert words in row.found


async def test_v3_shows_the_held_symbol_alone(measured: Rig) -> None:
    trade(measured.exchange, "ETHUSDT", "BUY", "0.1")
    found = await measured.measure()
    assert found.row("does v3").found == "1 rows, 0 symbols of them flat; v2 has 16"
    assert found.row("members of a v3 row").result == "as documented"


@pytest.mark.parametrize(
    ("refused", "result", "words"),
    [(False, "as documented", "accepted; silent for "), (True, "DIFFERS", "with status 400")],
)
async def test_a_made_up_listen_key_is_silent_or_refused(
    refused: bool, result: str, words: str, measured: Rig
) -> None:
    measured.exchange.faults.refuse_unknown_streams = refused
    found = await measured.measure()
    row = found.row(UNKNOWN_KEY)
    assert (row.result, words in row.found) == (result, True)
    assert found.code == 0
    answered = [each.found for each in found.rows if each.asked == "pings on that socket"]
    assert [each[:15] for each in answered] == ([] if refused else ["2 of 2 answered"])


async def test_connections_that_are_closed_are_named(measured: Rig) -> None:
    measured.exchange.faults.close_streams_after_sec = 0.2
    pace = msgspec.structs.replace(QUICK, unknown_key_pings=10)
    row = (await measured.measure(pace=pace)).row(UNKNOWN_KEY)
    assert "then private stream: closed" in row.found
    assert row.result == "DIFFERS"


async def test_the_mark_prices_show_both_markets(measured: Rig) -> None:
    found = await measured.measure()
    assert "`st` of its rows (16 symbols with 1, 3 with 2)" in {row.asked for row in found.rows}
    assert found.row("rows of COIN-M").found == "3 symbols: BTCUSD_261225, BTCUSD_PERP, ETHUSD_PERP"


async def test_mark_prices_without_coin_m_differ(measured: Rig) -> None:
    measured.exchange.faults.coin_m_mark_prices = False
    row = (await measured.measure()).row("rows of COIN-M")
    assert (row.found, row.result) == ("none", "DIFFERS")


async def test_the_key_is_deleted_after_a_yes(measured: Rig) -> None:
    asked: list[str] = []
    found = await measured.measure(ask=answering("y", asked))
    (question,) = asked
    assert "shared by every process of this account" in question
    assert measured.environ["BINANCE_REST_URL"] in question
    assert len(measured.deletions()) == 1
    assert found.row("DELETE").found.startswith("`listenKeyExpired` after ")
    assert found.row("that socket afterwards").found == "open 0.3 s later, pings answered"
    assert found.row("`PUT /fapi/v1/listenKey` afterwards").found.startswith("Binance error -1125")
    assert found.row("`POST /fapi/v1/listenKey` afterwards").found == "another key"
    assert measured.exchange.listen_keys.live is not None


async def test_a_silent_deletion_differs(measured: Rig) -> None:
    measured.exchange.faults.drop_event_types = ["listenKeyExpired"]
    measured.exchange.faults.drop_event_rate = 1.0
    row = (await measured.measure(delete_key=True)).row("DELETE")
    assert (row.found, row.result) == ("silence for 0.3 s", "DIFFERS")


@pytest.mark.parametrize("answer", ["", "n", "no", "delete"])
async def test_no_key_is_deleted_without_a_yes(answer: str, measured: Rig) -> None:
    found = await measured.measure(ask=answering(answer), delete_key=True)
    assert found.row("DELETE").result == "skipped"
    assert not measured.deletions()
    assert found.code == 0


@pytest.mark.parametrize("by_option", [False, True])
async def test_without_a_terminal_the_option_alone_deletes(by_option: bool, measured: Rig) -> None:
    await measured.measure(delete_key=by_option)
    assert len(measured.deletions()) == by_option


async def test_the_first_ban_ends_the_requests(measured: Rig) -> None:
    measured.exchange.faults.rest_fault_paths = ["/fapi/v1/symbolConfig"]
    measured.exchange.faults.rest_faults_next = ["418"]
    found = await measured.measure(delete_key=True)
    assert found.code == 1
    assert "418" in found.row("weights").found
    left = [row.asked for row in found.rows if row.found.startswith("not asked: requests stopped at the ban")]
    assert left == [
        "rows of `positionRisk`",
        "mark prices",
        "pings on `/private`",
        "a made-up listen key",
        "DELETE of the listen key",
    ]
    assert measured.exchange.requests.records()[-1].path == "/fapi/v1/symbolConfig"
    assert sum(row.asked.startswith("weight of") for row in found.rows) == 5


@pytest.mark.redis
async def test_a_remembered_ban_lets_nothing_be_asked(measured: Rig) -> None:
    async with private_redis() as url:
        with redis.Redis.from_url(url) as client:
            client.set(Keys("quantum").ban, str(round(time.time() * 1000) + 60_000))
        measured.environ["REDIS_URL"] = url
        found = await measured.measure()
    assert found.code == 1
    assert not measured.exchange.requests.records()
    assert all(row.result in ("NOT MEASURED", "skipped") for row in found.rows)


def refused_key(rig: Rig) -> None:
    rig.environ["BINANCE_API_KEY"] = "another-key"


def no_streams(rig: Rig) -> None:
    rig.exchange.faults.refuse_streams = True


def nothing_there(rig: Rig) -> None:
    rig.environ["BINANCE_REST_URL"] = "http://127.0.0.1:1"


@pytest.mark.parametrize(
    ("break_it", "asked", "words"),
    [
        (refused_key, "rows of `positionRisk`", "-2015"),
        (no_streams, "mark prices", "status 503"),
        (no_streams, "pings on `/private`", "status 503"),
        (nothing_there, "the exchange's clock", "ConnectError"),
        (nothing_there, "pings on `/private`", "not asked: the exchange does not answer"),
    ],
)
async def test_a_question_that_cannot_be_measured_is_named_and_fails(
    break_it: Callable[[Rig], None], asked: str, words: str, measured: Rig
) -> None:
    break_it(measured)
    found = await measured.measure()
    assert found.code == 1
    row = found.row(asked)
    assert (row.result, words in row.found) == ("NOT MEASURED", True)


@pytest.mark.parametrize("fault", ["reset", "5xx", "not_json"])
async def test_one_failed_request_is_repeated(fault: RestFault, measured: Rig) -> None:
    measured.exchange.faults.rest_fault_paths = ["/fapi/v3/positionRisk"]
    measured.exchange.faults.rest_faults_next = [fault]
    found: Found = await measured.measure()
    assert found.row("weight of `GET /fapi/v3/positionRisk`").found == "5"
    assert found.code == 0


async def test_without_credentials_the_setting_is_named(measured: Rig) -> None:
    del measured.environ["BINANCE_API_SECRET"]
    measured.environ["REDIS_URL"] = NO_REDIS
    with pytest.raises(SettingsError, match="BINANCE_API_SECRET"):
        await run_command(measure, measured.environ, MeasureOptions(), ask=None, pace=QUICK)
