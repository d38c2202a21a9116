"""Rights that an administrator takes away: each is named, leaves nothing half done, and once back is used."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from brain.identifiers import FencingToken
from store.errors import WrongRightsError
from store.keys import Keys
from store.redis.scripts import script_texts
from store.redis.store import RedisStore
from tests.store.backends import PATIENCE_SEC, RedisBackend, everything
from tests.store.commits import DECISION, prepared
from tests.store.executions import BEGIN
from tests.store.test_lease import WRITES

#: What scripts call that an account needs: each is taken away in turn.
CALLED = sorted(
    {
        name.lower()
        for text in script_texts().values()
        for name in re.findall(r"(?:redis\.p?call|read)\('([A-Z]+)'", text.decode())
    }
)
#: Of decisions, bookings and orders; each pattern is taken away in turn.
OWN_KEYS = (
    "q:p33:lease", "q:p33:open:*", "q:p33:plan:*", "q:p33:orders:*", "q:p33:order_times:*",
    "q:p33:last_result_id", "q:p33:unknown", "q:permit:p33:*", "q:position:ledger:*", "q:position:snapshot:*",
    "q:stream:apply.plan", "q:stream:apply.plan.dead", "q:stream:apply.result", "q:stream:apply.result.dead",
    "q:stream:permit.audit", "q:stream:reconcile.events", "q:reconcile:hold:*", "q:cooldown:last_exec_ts:*",
    "q:executor:order:*", "q:executor:client:*", "q:executor:open", "q:executor:last_plan_id",
    "q:stream:executor.audit", "q:stream:executor.dry_run", "q:metrics:intent_executor", "q:permit:g-*",
    "q:permit_gate:consumed:*", "q:reconcile:hold_reason:*", "q:reconcile:hold_sig:*", "q:kill",
    "q:global:kill_switch", "q:system:mode", "q:lockdown", "q:governor:trading_state",
    "q:governor:version", "q:governor:reserved", "q:governor:window:*", "q:governor:exec:*",
    "q:governor:daily:*", "q:governor:daily_reduced:*", "q:governor:last_exec:*", "q:governor:kill_stats:*",
    "q:governor:equity", "q:governor:plan:*", "q:governor:disarm:*", "q:governor:last_plan_id",
    "q:governor:last_result_id", "q:governor:block:*", "q:stream:governor.events", "q:stream:governor.audit",
    "q:permit:gov-*", "q:churn:global_freeze", "q:churn:blacklist:*", "q:risk:guard_active:*",
    "q:portfolio:budget:*", "q:allocation:target:*", "q:capital:efficiency:*", "q:capital:heat",
    "q:p33:players", "q:p33:history", "q:cfg:universe:*", "q:universe:shadow:*", "q:stream:universe.events",
    "q:stream:universe.audit",
    "q:reconcile:state:*", "q:reconcile:close:cooldown:*", "q:p35:bucket:*", "q:p35:decision:counts:*",
    "q:p35:reason:top:*", "q:p35:gate:*", "q:p35:status", "q:p35:unknown_decision:top:5m",
    "q:p35:last_result_id", "q:p35:counted_ahead",
    "q:reconcile:close:out:*", "q:intent_bridge:*", "q:stream:intent.audit",
    "q:stream:trade.intent", "q:stream:trade.intent.dead", "q:stream:exit.intent",
    "q:stream:exit.intent.dead",
    "q:reconcile:close:client:*",
)  # fmt: skip
#: Each write is tried with each right taken away: in parts that stay within the time of a test.
_PARTS = 3
#: They repeat what they write and nothing of it is counted.
MAY_BE_HALF_DONE = {"prove_snapshots", "renew_ledgers", "write_marks"}


class Account:
    """A user that may do all that the store does, less what a test takes away."""

    def __init__(self, real: RedisBackend) -> None:
        self._real = real
        self.allow(*OWN_KEYS)
        url = real.server.url.replace("unix://", "unix://p33:secret@")
        self.store = RedisStore(url, keys=Keys("q"), consumer="first", timeout_sec=PATIENCE_SEC)

    def allow(self, *keys: str, without: str = "") -> None:
        """Allow all commands but `without`, on `keys` alone."""
        less = [f"-{without}"] if without else []
        self._real.plain.call(
            "ACL",
            "SETUSER",
            "p33",
            "on",
            ">secret",
            "resetkeys",
            "+@all",
            *less,
            *(f"~{key}" for key in keys),
        )

    @property
    def can_be_asked(self) -> bool:
        """Return whether Redis shows a script its rights (7.0 and newer)."""
        version: Any = self._real.plain.client.info("server")
        return int(str(version["redis_version"]).split(".")[0]) >= 7


@pytest.fixture
async def account(real: RedisBackend) -> AsyncIterator[Account]:
    made = Account(real)
    yield made
    await made.store.close()


async def half_done(real: RedisBackend, account: Account, fence: FencingToken) -> tuple[list[str], list[str]]:
    """Try every write: the messages of those that are refused, and the names of those that left a part."""
    messages, parts = [], []
    for name, write in WRITES.items():
        before = everything(real.outside)
        try:
            await write(account.store, fence)
        except WrongRightsError as error:
            messages.append(str(error))
            if everything(real.outside) != before:
                parts.append(name)
    return messages, parts


def looked_at(account: Account, parts: list[str]) -> set[str]:
    """Parts that must not be left; Redis 6.2 shows no script its rights."""
    return set(parts) - MAY_BE_HALF_DONE if account.can_be_asked else set()


async def all_is_well(real: RedisBackend, account: Account, fence: FencingToken) -> None:
    account.allow(*OWN_KEYS)
    for write in WRITES.values():
        await write(account.store, fence)


def skip_all_but_first_part(part: int, account: Account) -> None:
    """Leave out what Redis 6.2 would only repeat: no script sees its rights there."""
    if part and not account.can_be_asked:
        pytest.skip("Redis 6.2 shows a script no rights")


@pytest.mark.parametrize("part", range(_PARTS))
async def test_a_command_that_is_taken_away_leaves_no_write_half_done(
    part: int, real: RedisBackend, account: Account
) -> None:
    skip_all_but_first_part(part, account)
    noticed = set()
    for command in CALLED[part::_PARTS]:
        real.outside.flushall()
        fence = await prepared(real)
        account.allow(*OWN_KEYS, without=command)
        messages, parts = await half_done(real, account, fence)
        assert looked_at(account, parts) == set(), command
        assert all("user p33 has no right to" in message for message in messages)
        if messages:
            noticed.add(command)
        await all_is_well(real, account, fence)
    needed = {"get", "type", "exists", "hset", "set", "xadd", "xack", "xclaim", "del"}
    assert noticed >= needed & set(CALLED[part::_PARTS])


@pytest.mark.parametrize("part", range(_PARTS))
async def test_a_key_that_is_taken_away_leaves_no_write_half_done(
    part: int, real: RedisBackend, account: Account
) -> None:
    skip_all_but_first_part(part, account)
    for key in OWN_KEYS[part::_PARTS]:
        real.outside.flushall()
        fence = await prepared(real)
        account.allow(*(other for other in OWN_KEYS if other != key))
        messages, parts = await half_done(real, account, fence)
        assert looked_at(account, parts) == set(), key
        assert messages or not account.can_be_asked, key
        await all_is_well(real, account, fence)


@pytest.mark.parametrize(
    "key",
    [
        "q:stream:apply.result", "q:stream:apply.plan", "q:executor:last_plan_id",
        "q:cooldown:last_exec_ts:*", "q:reconcile:hold:*", "q:reconcile:hold_reason:*",
        "q:reconcile:hold_sig:*", "q:p33:open:*",
    ],
)  # fmt: skip
async def test_no_order_begins_without_the_rights_that_its_end_needs(
    real: RedisBackend, account: Account, key: str
) -> None:
    if not account.can_be_asked:
        pytest.skip("Redis 6.2 shows a script no rights")
    fence = await prepared(real)
    account.allow(*(other for other in OWN_KEYS if other != key))
    before = everything(real.outside)
    with pytest.raises(WrongRightsError):
        await account.store.begin_order(fence, BEGIN)
    assert everything(real.outside) == before
    account.allow(*OWN_KEYS)
    assert (await account.store.begin_order(fence, BEGIN)).verdict == "begun"


@pytest.mark.parametrize("command", ["evalsha", "xreadgroup", "xgroup", "info", "get", "mget", "time"])
async def test_a_command_that_the_store_sends_itself_is_named(
    real: RedisBackend, account: Account, command: str
) -> None:
    fence = await prepared(real)
    account.allow(*OWN_KEYS, "q:*", without=command)
    asked: dict[str, Callable[[], Awaitable[object]]] = {
        "evalsha": lambda: account.store.commit_decisions(fence, [DECISION]),
        "xreadgroup": lambda: account.store.plans.read_new(count=1, block_ms=0),
        "xgroup": lambda: account.store.plans.create(lost=False),
        "info": lambda: account.store.redis_run(None),
        "get": lambda: account.store.universe(),
        "mget": lambda: account.store.holds_and_cooldowns(["BTCUSDT"], []),
        "time": lambda: account.store.redis_now_ms(),
    }
    with pytest.raises(WrongRightsError, match=f"user p33 has no right to {command.upper()}"):
        await asked[command]()
    account.allow(*OWN_KEYS, "q:*")
    await asked[command]()
