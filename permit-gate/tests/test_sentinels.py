"""The gate at an address of Sentinels, before and after failovers."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from gate_testing.flavours import FLAVOURS, OpenGate
from gate_testing.permits import SYMBOL, governor_permit, p33_permit
from gate_testing.sentinels import Watched, watched
from permit_gate import GOVERNOR, P33, Granted, PermitGate, Refusal, Refused


def issue(servers: Watched, plan_id: str) -> None:
    store = servers.client(servers.primary())
    store.set(f"quantum:permit:{plan_id}", governor_permit())
    store.set(f"quantum:permit:p33:{plan_id}", p33_permit(plan_id))


async def granted_soon(acquire: Any, servers: Watched, name: str) -> list[Any]:
    """Ask for fresh plans until one is granted; the answers before that."""
    before: list[Any] = []
    for number in range(10):
        plan_id = f"{name}-{number}"
        await trio.to_thread.run_sync(issue, servers, plan_id)
        answer = await acquire(plan_id)
        if isinstance(answer, Granted):
            return before
        before.append(answer)
    raise AssertionError(before)


@pytest.mark.parametrize("flavour", list(FLAVOURS))
async def test_a_gate_follows_the_primary_that_sentinels_name(flavour: str) -> None:
    open_gate: OpenGate = FLAVOURS[flavour]
    with watched() as servers:
        async with open_gate(servers.url) as acquire:
            assert await granted_soon(acquire, servers, "before") == []
            for name, change in (("planned", servers.fail_over), ("killed", servers.kill_primary)):
                await trio.to_thread.run_sync(change)
                refused = await granted_soon(acquire, servers, name)
                assert len(refused) <= 1, refused
                expected = {Refusal.REDIS_ERROR, Refusal.PERMIT_TIMEOUT}
                assert {answer.reason for answer in refused} <= expected, refused


@pytest.mark.parametrize("flavour", list(FLAVOURS))
async def test_sentinels_that_are_all_away_are_a_refusal_without_passwords(flavour: str) -> None:
    open_gate: OpenGate = FLAVOURS[flavour]
    url = "redis+sentinel://:first@127.0.0.1:1,127.0.0.1:2/quantum?sentinel_password=second"
    async with open_gate(url) as acquire:
        answer = await acquire("a")
    assert isinstance(answer, Refused) and answer.reason is Refusal.REDIS_ERROR
    assert "quantum" in str(answer) and "first" not in str(answer) and "second" not in str(answer)


@pytest.mark.parametrize(
    "url", ["redis+sentinel://127.0.0.1:1", "redis+sentinel:///quantum", "rediss+sentinel://a/quantum/x"]
)
def test_an_address_without_host_or_service_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="SERVICE"), PermitGate(url) as gate:
        gate.acquire("a", SYMBOL, (GOVERNOR, P33))
