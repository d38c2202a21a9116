"""`acknowledge` against a real Redis: the mark, its event, and what is no notice."""

from __future__ import annotations

import json

import pytest

from commands import main
from commands.cli import NOTICE_KINDS
from monitoring.firing import NoticeKind
from tests.commands.deployment import run_command
from tests.commands.switches.test_switches import Desk, desk

__all__ = ["desk"]

pytestmark = pytest.mark.redis
SEEN = "quantum:p33:seen"


async def acknowledge(desk: Desk, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    for name, text in desk.environ.items():
        monkeypatch.setenv(name, text)
    return await run_command(main, ["acknowledge", *arguments])


def test_the_parser_knows_every_kind_of_notice() -> None:
    assert list(NOTICE_KINDS) == list(NoticeKind)


async def test_a_notice_is_marked_with_name_and_end_and_leaves_an_event(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await acknowledge(desk, monkeypatch, "case", "BTCUSDT", "--by", "Ann B.", "--for", "2h") == 0
    mark = json.loads(desk.redis.hget(SEEN, "case|BTCUSDT"))
    now_ms = int(desk.redis.time()[0]) * 1000
    assert mark["by"] == "Ann B."
    assert 7_150_000 < mark["until_ms"] - now_ms < 7_210_000
    (event,) = desk.events("p33.events")
    assert (event["event"], event["kind"], event["subject"], event["by"]) == (
        "NOTICE_SEEN", "case", "BTCUSDT", "Ann B.",
    )  # fmt: skip
    assert "case of BTCUSDT: seen by Ann B. until 20" in desk.shown()[0]


async def test_without_a_name_the_login_behind_sudo_counts(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await acknowledge(desk, monkeypatch, "not_ready") == 0
    assert json.loads(desk.redis.hget(SEEN, "not_ready|"))["by"] == "ann"


async def test_a_symbol_is_marked_in_capitals_as_notices_have_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await acknowledge(desk, monkeypatch, "divergence", "btcusdt") == 0
    assert list(desk.redis.hgetall(SEEN)) == ["divergence|BTCUSDT"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["not_ready", "BTCUSDT"], "not_ready has no subject"),
        (["all_denied", "x"], "all_denied has no subject"),
        (["unknown_execution"], "unknown_execution needs its subject, a plan"),
        (["case"], "case needs its subject, a symbol such as BTCUSDT"),
        (["divergence", "BTC USDT"], "divergence needs its subject, a symbol such as BTCUSDT"),
        (["restart_limit"], "restart_limit needs its subject, a group of actors"),
    ],
)
async def test_a_notice_that_cannot_fire_is_refused(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    assert await acknowledge(desk, monkeypatch, *arguments) == 1
    assert said in desk.shown()[1]
    assert desk.keys() == set()


async def test_a_key_of_a_wrong_type_is_one_line(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.redis.set(SEEN, "text")
    assert await acknowledge(desk, monkeypatch, "ban") == 1
    assert SEEN in desk.shown()[1]
    assert desk.keys() == {SEEN}


@pytest.mark.parametrize(
    "arguments",
    [
        ["everything"],
        ["case", "x" * 257],
        ["case", "a\nb"],
        ["ban", "--for", "8d"],
        ["ban", "--for", "0h"],
        ["ban", "--for", "2"],
        ["ban", "--by", " "],
        ["ban", "--by", "x" * 65],
    ],
)
async def test_a_wrong_notice_name_or_time_is_refused(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        await acknowledge(desk, monkeypatch, *arguments)
    assert ended.value.code == 2
    assert desk.keys() == set()
