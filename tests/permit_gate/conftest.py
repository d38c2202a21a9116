from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Protocol

import pytest
import redis
import trio

from permit_gate import GOVERNOR, P33, GateRules, Granted, PermitGate, Refused
from permit_gate.trio_gate import open_trio_gate
from tests.permit_gate.permits import SYMBOL


class Acquire(Protocol):
    """`acquire` of either flavour, for Governor and P33 unless told otherwise."""

    def __call__(self, plan_id: str, symbol: str = ..., **options: Any) -> Awaitable[Granted | Refused]: ...


@asynccontextmanager
async def _blocking(url: str, rules: GateRules | None) -> AsyncIterator[Acquire]:
    with PermitGate(url, rules) as gate:

        async def acquire(plan_id: str, symbol: str = SYMBOL, **options: Any) -> Granted | Refused:
            call = partial(gate.acquire, plan_id, symbol, options.pop("sources", (GOVERNOR, P33)), **options)
            return await trio.to_thread.run_sync(call)

        yield acquire


@asynccontextmanager
async def _trio(url: str, rules: GateRules | None) -> AsyncIterator[Acquire]:
    async with open_trio_gate(url, rules) as gate:

        async def acquire(plan_id: str, symbol: str = SYMBOL, **options: Any) -> Granted | Refused:
            return await gate.acquire(plan_id, symbol, options.pop("sources", (GOVERNOR, P33)), **options)

        yield acquire


OpenGate = Callable[..., Any]


@pytest.fixture(params=[_blocking, _trio], ids=["blocking", "trio"])
def open_gate(request: pytest.FixtureRequest) -> OpenGate:
    """Opens a gate of either flavour: `async with open_gate(url, rules) as acquire`."""

    def opened(url: str, rules: GateRules | None = None) -> Any:
        return request.param(url, rules)

    return opened


@pytest.fixture
async def acquire(open_gate: OpenGate, redis_server: str) -> AsyncIterator[Acquire]:
    """`acquire` of a gate at the test's own Redis, with the usual rules."""
    async with open_gate(redis_server) as acquire:
        yield acquire


@pytest.fixture
def store(redis_server: str) -> redis.Redis:
    """What issuers and operators write with."""
    return redis.Redis.from_url(redis_server)
