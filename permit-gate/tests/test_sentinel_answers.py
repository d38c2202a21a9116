"""The gate and Sentinels whose answers differ, fail or make no sense."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest
import redis
import redis.sentinel
import trio

from gate_testing.fake_sentinels import fake_sentinels, free_port, naming, primaries, url_of
from gate_testing.flavours import FLAVOURS, OpenGate
from permit_gate import Granted, PermitGate, Refusal, Refused
from permit_gate.sentinels import sentinel_pools, service_of

each_flavour = pytest.mark.parametrize("flavour", list(FLAVOURS))


@each_flavour
async def test_a_server_that_refuses_connections_is_left_for_the_one_that_another_sentinel_names(
    flavour: str,
) -> None:
    open_gate: OpenGate = FLAVOURS[flavour]
    with primaries() as (live, _), fake_sentinels(naming(free_port()), naming(live.port)) as sentinels:
        async with open_gate(url_of(sentinels)) as acquire:
            live.issue("a")
            answers = [await acquire("a", timeout_sec=1) for _ in range(2)]
            assert any(isinstance(each, Granted) for each in answers), answers
            for plan_id in ("b", "c"):
                live.issue(plan_id)
                assert isinstance(await acquire(plan_id), Granted)


@each_flavour
@pytest.mark.parametrize("cut_off", [0, 2])
async def test_a_sentinel_that_is_cut_off_is_overruled_by_the_two_others(flavour: str, cut_off: int) -> None:
    open_gate: OpenGate = FLAVOURS[flavour]
    with primaries() as (old, new), fake_sentinels(*[naming(old.port)] * 3) as sentinels:
        async with open_gate(url_of(sentinels)) as acquire:
            old.issue("before")
            assert isinstance(await acquire("before"), Granted)
            for number, sentinel in enumerate(sentinels):
                sentinel.answer = naming(old.port if number == cut_off else new.port)
            new.issue("after")
            answer = await acquire("after", timeout_sec=0.2)
            assert isinstance(answer, Refused) and answer.reason is Refusal.PERMIT_TIMEOUT
            assert isinstance(await acquire("after"), Granted)


@each_flavour
async def test_further_connections_lead_to_the_present_server_while_no_sentinel_answers_until_it_fails(
    flavour: str,
) -> None:
    open_gate: OpenGate = FLAVOURS[flavour]
    with primaries() as (server, _), fake_sentinels(naming(server.port)) as sentinels:
        async with open_gate(url_of(sentinels)) as acquire:
            server.issue("before")
            assert isinstance(await acquire("before"), Granted)
            sentinels[0].stop()
            answers: list[Any] = []

            async def ask(plan_id: str) -> None:
                answers.append(await acquire(plan_id, timeout_sec=5))

            async with trio.open_nursery() as nursery:
                for number in range(4):
                    nursery.start_soon(ask, f"plan-{number}")
                await trio.sleep(0.3)
                for number in range(4):
                    server.issue(f"plan-{number}")
            assert [type(each) for each in answers] == [Granted] * 4
            server.kill()
            assert isinstance(await acquire("killed"), Refused)
            answer = await acquire("killed")
            assert isinstance(answer, Refused) and "no Sentinel names the primary" in str(answer)


@each_flavour
@pytest.mark.parametrize(
    "odd", [b":1\r\n", b"+OK\r\n", b"*2\r\n:1\r\n:2\r\n", b"*2\r\n$1\r\na\r\n$1\r\nx\r\n"]
)
async def test_an_odd_answer_of_a_sentinel_is_a_refusal(flavour: str, odd: bytes) -> None:
    open_gate: OpenGate = FLAVOURS[flavour]
    with fake_sentinels(odd) as sentinels:
        async with open_gate(url_of(sentinels)) as acquire:
            answer = await acquire("a")
    assert isinstance(answer, Refused) and answer.reason is Refusal.REDIS_ERROR
    assert "no Sentinel names the primary of quantum" in str(answer)


def test_threads_that_look_up_the_primary_together_all_find_it() -> None:
    with ExitStack() as stack:
        sentinels = stack.enter_context(fake_sentinels(b"-ERR no\r\n", naming(1234), naming(1234)))
        gate = stack.enter_context(PermitGate(url_of(sentinels), command_timeout_sec=10))
        threads = stack.enter_context(ThreadPoolExecutor(8))
        service = service_of(gate._pool)
        assert service is not None
        found = [threads.submit(service.get_master_address) for _ in range(400)]
        assert {each.result() for each in found} == {("127.0.0.1", 1234)}


def test_the_pools_of_the_sentinels_have_the_limit_of_the_others_and_the_password_as_it_is_written() -> None:
    url = "redis+sentinel://a/quantum?sentinel_password=a+b%2Bc"
    _, sentinel = sentinel_pools(redis, url, 1, {"max_connections": 10_000})
    assert sentinel.max_connections == 10_000
    assert sentinel.connection_kwargs["password"] == "a+b+c"
