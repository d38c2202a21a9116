"""The operators' commands against a real Redis: shown, asked, compared, written, with an event."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import redis

from brain.execution.switches import TradingState
from brain.identifiers import Symbol
from commands import main
from commands.switches import hold, release, trading_state
from commands.switches.changes import Order
from tests.commands.deployment import run_command

pytestmark = pytest.mark.redis

BTC = Symbol("BTCUSDT")
STATE = "quantum:governor:trading_state"
HOLD, REASON, SIG = (f"quantum:reconcile:{name}:BTCUSDT" for name in ("hold", "hold_reason", "hold_sig"))


class Desk:
    """An operator's terminal, and the Redis behind it."""

    def __init__(self, url: str, capsys: pytest.CaptureFixture[str]) -> None:
        self.redis: Any = redis.Redis.from_url(url, decode_responses=True)
        self.environ = {"REDIS_URL": url, "SUDO_USER": "ann", "P33_GOVERNOR": "on"}
        self._capsys = capsys
        self.asked: list[str] = []

    def order(self, answer: str = "y", before: Callable[[], object] = lambda: None) -> Order:
        """Return an order whose question is answered so, after `before`."""

        def ask(question: str) -> str:
            self.asked.append(question)
            before()
            return answer

        return Order("a test", ask=ask)

    def shown(self) -> tuple[str, str]:
        captured = self._capsys.readouterr()
        return captured.out, captured.err

    def events(self, stream: str) -> list[dict[str, str]]:
        return [fields for _, fields in self.redis.xrange(f"quantum:stream:{stream}")]

    def keys(self) -> set[str]:
        return set(self.redis.keys("*"))


@pytest.fixture
async def desk(redis_server: str, capsys: pytest.CaptureFixture[str]) -> Desk:
    return Desk(redis_server, capsys)


async def test_without_a_state_it_is_shown_and_nothing_is_written(desk: Desk) -> None:
    assert await run_command(trading_state, desk.environ, None, Order("")) == 0
    out, err = desk.shown()
    assert (out.startswith("The trading state is ACTIVE. "), err) == (True, "")
    assert desk.keys() == set()


async def test_a_state_is_set_after_a_question_and_leaves_an_event_with_reason_and_person(desk: Desk) -> None:
    assert await run_command(trading_state, desk.environ, TradingState.HALTED, desk.order()) == 0
    out, _ = desk.shown()
    assert out.splitlines()[1:] == [
        "With HALTED: No order is permitted and none is sent, closes included.",
        "The trading state is HALTED.",
    ]
    assert desk.asked == ["Set the trading state to HALTED (a test)? [y/N]"]
    assert (desk.redis.get(STATE), desk.redis.ttl(STATE)) == ("HALTED", -1)
    [event] = desk.events("governor.events")
    assert list(event) == ["event", "reason", "context", "timestamp", "action_taken"]
    assert (event["event"], event["reason"], event["action_taken"]) == (
        "TRADING_STATE", "a test", "trading_state=HALTED",
    )  # fmt: skip
    assert json.loads(event["context"]) == {"by": "operator:ann", "from": "ACTIVE", "to": "HALTED"}
    assert float(event["timestamp"]) > 1_700_000_000


async def test_the_way_back_to_active_is_a_re_arming(desk: Desk) -> None:
    desk.redis.set(STATE, "REDUCING")
    assert (
        await run_command(trading_state, desk.environ, TradingState.ACTIVE, Order("looked at", yes=True)) == 0
    )
    assert desk.redis.get(STATE) == "ACTIVE"
    assert [each["event"] for each in desk.events("governor.events")] == ["REARMED"]


@pytest.mark.parametrize("answer", ["n", "", "active", "yes please"])
async def test_any_answer_but_yes_changes_nothing(desk: Desk, answer: str) -> None:
    assert await run_command(trading_state, desk.environ, TradingState.HALTED, desk.order(answer)) == 1
    assert desk.shown()[1] == "position-state-brain: nothing was changed\n"
    assert desk.keys() == set()


async def test_without_a_terminal_and_without_yes_nothing_is_changed(desk: Desk) -> None:
    assert await run_command(trading_state, desk.environ, TradingState.HALTED, Order("a test")) == 1
    assert "there is no terminal to ask at: --yes agrees" in desk.shown()[1]
    assert desk.keys() == set()


@pytest.mark.parametrize(("stored", "wanted"), [(None, TradingState.ACTIVE), ("HALTED", TradingState.HALTED)])
async def test_a_state_that_is_set_already_asks_nothing_and_leaves_no_event(
    desk: Desk, stored: str | None, wanted: TradingState
) -> None:
    if stored is not None:
        desk.redis.set(STATE, stored)
    assert await run_command(trading_state, desk.environ, wanted, desk.order()) == 0
    assert desk.asked == [] and desk.events("governor.events") == []


@pytest.mark.parametrize("stored", ["bogus", ["a", "list"]])
async def test_an_unreadable_state_counts_as_halted_and_is_repaired_by_halted(
    desk: Desk, stored: str | list[str]
) -> None:
    if isinstance(stored, str):
        desk.redis.set(STATE, stored)
    else:
        desk.redis.rpush(STATE, *stored)
    assert await run_command(trading_state, desk.environ, TradingState.HALTED, desk.order()) == 0
    assert desk.redis.get(STATE) == "HALTED"


async def test_a_state_that_changes_between_look_and_answer_is_not_overwritten(desk: Desk) -> None:
    order = desk.order(before=lambda: desk.redis.set(STATE, "HALTED"))
    assert await run_command(trading_state, desk.environ, TradingState.REDUCING, order) == 1
    assert "the state is another than shown above by now" in desk.shown()[1]
    assert (desk.redis.get(STATE), desk.events("governor.events")) == ("HALTED", [])


async def test_settings_without_governor_and_executor_are_named(desk: Desk) -> None:
    assert await run_command(trading_state, {**desk.environ, "P33_GOVERNOR": "off"}, None, Order("")) == 0
    assert "neither Governor nor executor runs here" in desk.shown()[0]
    assert await run_command(trading_state, desk.environ, None, Order("")) == 0
    assert "neither" not in desk.shown()[0]


async def test_a_symbol_is_held_without_an_expiry_until_its_operator_releases_it(desk: Desk) -> None:
    assert await run_command(hold, desk.environ, BTC, desk.order(), force=False) == 0
    assert (desk.redis.get(HOLD), desk.redis.get(REASON), desk.redis.get(SIG)) == (
        "1",
        "a test",
        "operator:ann",
    )
    assert [desk.redis.ttl(key) for key in (HOLD, REASON, SIG)] == [-1, -1, -1]
    assert "BTCUSDT is not held." in desk.shown()[0]
    assert (
        await run_command(release, {**desk.environ, "SUDO_USER": "bob"}, BTC, desk.order(), force=False) == 0
    )
    assert "BTCUSDT is held by the operator ann: a test." in desk.shown()[0]
    assert not desk.redis.exists(HOLD, REASON, SIG)
    set_, cleared = desk.events("reconcile.events")
    assert list(set_) == ["event", "symbol", "ts", "reason", "hold_sig", "by"] == list(cleared)
    assert (set_["event"], set_["hold_sig"], set_["by"]) == ("HOLD_SET", "operator:ann", "operator:ann")
    assert (cleared["event"], cleared["hold_sig"], cleared["by"]) == (
        "HOLD_CLEARED", "operator:ann", "operator:bob",
    )  # fmt: skip


def exec_hold(desk: Desk) -> None:
    for key, text in ((HOLD, "1"), (REASON, "execution_unknown:p-1"), (SIG, "exec:p33-0a")):
        desk.redis.set(key, text, px=300_000)


async def test_the_hold_of_another_is_released_by_force_alone_and_says_what_it_is_for(desk: Desk) -> None:
    exec_hold(desk)
    assert await run_command(release, desk.environ, BTC, desk.order(), force=False) == 1
    out, err = desk.shown()
    assert "BTCUSDT is held by the executor for its order p33-0a" in out and "execution_unknown:p-1" in out
    assert "--force" in err
    assert desk.redis.exists(HOLD) and desk.asked == []
    assert await run_command(release, desk.environ, BTC, desk.order(), force=True) == 0
    assert "Its owner may set it again" in desk.shown()[0]
    assert not desk.redis.exists(HOLD, REASON, SIG)
    [event] = desk.events("reconcile.events")
    assert (event["event"], event["hold_sig"], event["by"]) == ("HOLD_CLEARED", "exec:p33-0a", "operator:ann")


async def test_the_hold_of_another_is_replaced_by_force_alone_and_named_as_lost(desk: Desk) -> None:
    exec_hold(desk)
    before = desk.keys()
    assert await run_command(hold, desk.environ, BTC, desk.order(), force=False) == 1
    out, err = desk.shown()
    assert "BTCUSDT is held by the executor for its order p33-0a" in out
    assert "no operator holds BTCUSDT" in err and "--force" in err
    assert (desk.redis.get(SIG), desk.keys(), desk.asked) == ("exec:p33-0a", before, [])
    assert await run_command(hold, desk.environ, BTC, desk.order(), force=True) == 0
    assert "The hold by the executor for its order p33-0a is lost" in desk.shown()[0]
    assert (desk.redis.get(SIG), desk.redis.ttl(HOLD)) == ("operator:ann", -1)


async def test_hold_and_release_do_not_lift_the_hold_of_another_without_force(desk: Desk) -> None:
    exec_hold(desk)
    for change in (hold, release):
        assert await run_command(change, desk.environ, BTC, desk.order(), force=False) == 1
    assert (desk.redis.get(HOLD), desk.redis.get(SIG)) == ("1", "exec:p33-0a")


async def test_the_hold_of_another_operator_is_replaced_without_force(desk: Desk) -> None:
    assert await run_command(hold, desk.environ, BTC, desk.order(), force=False) == 0
    bob = {**desk.environ, "SUDO_USER": "bob"}
    assert await run_command(hold, bob, BTC, desk.order(), force=False) == 0
    assert "The hold by the operator ann is lost" in desk.shown()[0]
    assert desk.redis.get(SIG) == "operator:bob"


async def test_a_hold_that_changes_between_look_and_answer_is_left_alone(desk: Desk) -> None:
    order = desk.order(before=lambda: exec_hold(desk))
    assert await run_command(hold, desk.environ, BTC, order, force=True) == 1
    assert desk.redis.get(SIG) == "exec:p33-0a"
    replaced = desk.order(before=lambda: desk.redis.set(SIG, "exec:another"))
    assert await run_command(release, desk.environ, BTC, replaced, force=True) == 1
    assert desk.redis.exists(HOLD) and desk.events("reconcile.events") == []


async def test_a_symbol_that_is_not_held_needs_no_release(desk: Desk) -> None:
    assert await run_command(release, desk.environ, BTC, desk.order(), force=False) == 0
    assert desk.shown()[0] == "BTCUSDT is not held.\n"
    assert (desk.asked, desk.keys()) == ([], set())


async def test_a_redis_that_does_not_answer_is_one_clear_line(desk: Desk) -> None:
    environ = {**desk.environ, "REDIS_URL": "unix:///nowhere"}
    assert await run_command(hold, environ, BTC, desk.order(), force=False) == 1
    out, err = desk.shown()
    assert (
        out == ""
        and err.startswith("position-state-brain: Redis at unix:///nowhere")
        and err.count("\n") == 1
    )


async def test_a_write_that_redis_does_not_answer_may_have_been_done_and_is_said_so(desk: Desk) -> None:
    order = desk.order(before=lambda: desk.redis.client_pause(60_000, all=False))
    try:
        assert await run_command(hold, desk.environ, BTC, order, force=False) == 3
    finally:
        desk.redis.client_unpause()
    assert "no answer within" in (err := desk.shown()[1])
    assert "it may have been done: look before you repeat it" in err and err.count("\n") == 1


async def test_a_hold_that_stands_as_asked_for_is_left_alone(desk: Desk) -> None:
    for _ in range(2):
        assert await run_command(hold, desk.environ, BTC, desk.order(), force=False) == 0
    assert len(desk.asked) == len(desk.events("reconcile.events")) == 1
    assert await run_command(hold, desk.environ, BTC, Order("another", yes=True), force=False) == 0
    assert desk.redis.get(REASON) == "another"
    desk.redis.pexpire(HOLD, 60_000)
    assert await run_command(hold, desk.environ, BTC, Order("another", yes=True), force=False) == 0
    assert desk.redis.ttl(HOLD) == -1


async def test_the_command_line_leads_there(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in desk.environ.items():
        monkeypatch.setenv(name, value)
    assert await run_command(main, ["trading-state", "REDUCING", "--reason", "figures", "--yes"]) == 0
    assert desk.redis.get(STATE) == "REDUCING"
    assert await run_command(main, ["hold", "btcusdt", "--reason", "a test", "--yes"]) == 0
    assert desk.redis.get(SIG) == "operator:ann"
    desk.redis.set(SIG, "p34:0a")
    assert await run_command(main, ["hold", "btcusdt", "--reason", "a test", "--yes"]) == 1
    assert await run_command(main, ["hold", "btcusdt", "--reason", "a test", "--yes", "--force"]) == 0
    assert desk.redis.get(SIG) == "operator:ann"
    assert await run_command(main, ["release", "BTCUSDT", "--reason", "a test", "--yes", "--force"]) == 0
    assert not desk.redis.exists(HOLD)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["trading-state", "halted"], "needs --reason"),
        (["hold", "BTCUSDT"], "--reason"),
        (["hold", "BTCUSDT", "--reason", " "], "printable characters"),
        (["hold", "BTCUSDT", "--reason", "two\nlines"], "printable characters"),
        (["hold", "BTC USDT", "--reason", "x"], "a symbol such as BTCUSDT"),
        (["trading-state", "stopped", "--reason", "x"], "invalid choice"),
    ],
)
async def test_a_command_line_that_lacks_something_changes_nothing(
    desk: Desk, arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in desk.environ.items():
        monkeypatch.setenv(name, value)
    try:
        code = await run_command(main, arguments)
    except SystemExit as ended:
        code = int(str(ended.code))
    assert code == 2
    assert said in desk.shown()[1]
    assert desk.keys() == set()
