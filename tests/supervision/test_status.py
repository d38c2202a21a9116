from typing import Any

import msgspec
import pytest
import trio

from supervision import Backoff, Heartbeat, NodeStatus
from tests.supervision.rig import (
    Journal,
    child,
    crashes_after,
    deaf,
    obedient,
    running,
    script,
    supervisor,
    tree_of,
)
from tests.virtual_time import virtual_time

pytestmark = virtual_time


async def waits_for_redis(heartbeat: Heartbeat) -> None:
    with heartbeat.idle():
        await trio.sleep(2)
        with heartbeat.waiting_for("Redis at localhost:6379"):
            await trio.sleep_forever()


async def connects_slowly(heartbeat: Heartbeat) -> None:
    await trio.sleep(2)
    heartbeat.beat()
    await trio.sleep_forever()


def test_before_it_runs_a_tree_is_declared_and_stopped() -> None:
    tree = tree_of(supervisor(child("a"), name="brain"), Journal())

    async def ask() -> NodeStatus:
        return tree.status()

    status = trio.run(ask)
    assert (status.name, status.state, status.restarts, status.since_sec) == ("brain", "stopped", 0, None)
    (a,) = status.children
    assert (a.name, a.state, a.last_reason, a.since_sec) == ("a", "stopped", None, None)


async def test_each_state_of_a_child_is_seen() -> None:
    backoff = Backoff(initial_sec=10, maximum_sec=10, jitter=0)
    inner = supervisor(
        child("waits", waits_for_redis, stall_limit_sec=1),
        child("crashes", script(crashes_after(3, ValueError("no")), obedient)),
        name="inner",
        backoff=backoff,
    )
    spec = supervisor(
        child("slow", connects_slowly),
        inner,
        child("ends", crashes_after(1, SystemError()), restart="transient"),
        backoff=backoff,
    )
    tree = tree_of(spec, Journal())

    def seen() -> dict[str, tuple[str, Any]]:
        status = tree.status()
        leaves = [status.children[0], *status.children[1].children]
        return {leaf.name: (leaf.state, leaf.since_sec) for leaf in leaves}

    async with running(tree):
        await trio.sleep(1)
        assert seen() == {
            "slow": ("starting", pytest.approx(1)),
            "waits": ("running", pytest.approx(1)),
            "crashes": ("running", pytest.approx(1)),
        }
        await trio.sleep(4)
        assert seen() == {
            "slow": ("running", pytest.approx(5)),
            "waits": ("waiting", pytest.approx(3)),
            "crashes": ("backing_off", pytest.approx(2)),
        }
        status = tree.status()
        assert (status.name, status.state) == ("root", "running")
        assert status.since_sec == pytest.approx(5)
        waits, crashes = status.children[1].children
        assert waits.waiting_for == ("Redis at localhost:6379",)
        assert (crashes.restarts, crashes.last_reason) == (0, "ValueError: no")
        assert tree.waiting() == [("root/inner/waits", "Redis at localhost:6379")]
        assert tree.progressing()
        await trio.sleep(9)
        assert seen()["crashes"] == ("running", pytest.approx(1))
        assert tree.status().children[1].children[1].restarts == 1


async def test_a_child_asked_to_stop_is_stopping_and_then_stopped() -> None:
    tree = tree_of(supervisor(child("a"), child("b", deaf, stop_grace_sec=10)), Journal())
    async with running(tree):
        tree.stop()
        await trio.sleep(4)
        status = tree.status()
        assert status.state == "stopping"
        now: list[Any] = [(each.state, each.since_sec) for each in status.children]
        assert now == [("running", pytest.approx(4)), ("stopping", pytest.approx(4))]
        await trio.sleep(7)
        status = tree.status()
        assert [each.state for each in (status, *status.children)] == ["stopped"] * 3


async def test_a_transient_child_at_its_end_is_stopped() -> None:
    async def once(heartbeat: Heartbeat) -> None:
        heartbeat.beat()

    tree = tree_of(supervisor(child("a", once, restart="transient"), child("b")), Journal())
    async with running(tree):
        await trio.sleep(1)
        assert [each.state for each in tree.status().children] == ["stopped", "running"]
        assert tree.progressing()


async def test_a_status_is_json() -> None:
    tree = tree_of(supervisor(supervisor(child("a", waits_for_redis), name="inner")), Journal())
    async with running(tree):
        await trio.sleep(3)
        status = tree.status()
        assert msgspec.json.decode(msgspec.json.encode(status), type=NodeStatus) == status
