"""Trees and lives drawn by chance, and what must hold whatever comes."""

from collections import Counter
from collections.abc import Iterator
from random import Random

import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from supervision import (
    Backoff,
    ChildCrashed,
    ChildSpec,
    ChildStarted,
    ChildStopped,
    Heartbeat,
    Intensity,
    RestartIntensityExceeded,
    SupervisorSpec,
)
from tests.supervision.rig import Actor, Journal, chance, child, supervisor, tree_of


class World:
    """Record of live actors, kept by the actors themselves, and its violations."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.alive: Counter[str] = Counter()
        self.names = 0
        # For each child under rest-for-one: the permanent ones it depends on.
        self.before: dict[str, list[str]] = {}
        self.wrong: list[str] = []

    def actor(self, name: str) -> Actor:
        async def live(heartbeat: Heartbeat) -> None:
            self.alive[name] += 1
            if self.alive[name] > 1:
                self.wrong.append(f"{name} lives twice")
            try:
                await self.fate(heartbeat)
            finally:
                self.alive[name] -= 1

        return live

    async def fate(self, heartbeat: Heartbeat) -> None:
        rng = self.rng
        match rng.randrange(7):
            case 0:
                raise ValueError("in the first step")
            case 1:
                await trio.sleep(rng.uniform(0, 20))
                raise ValueError("later")
            case 2:
                with heartbeat.idle():
                    await trio.sleep(rng.uniform(0, 20))
            case 3:
                await trio.sleep_forever()
            case 4:
                with heartbeat.idle():
                    await heartbeat.stopping.wait()
                    await trio.sleep(rng.uniform(0, 3))
            case 5:
                try:
                    with heartbeat.waiting_for("Redis"):
                        await trio.sleep_forever()
                finally:
                    raise OSError("while cancelled")
            case _:
                with heartbeat.idle(), trio.CancelScope(shield=True):
                    await trio.sleep(rng.uniform(0, 5))

    def spec(self, depth: int = 0) -> SupervisorSpec:
        rng = self.rng
        children: list[ChildSpec | SupervisorSpec] = []
        earlier: list[str] = []
        strategy = "rest_for_one" if rng.random() < 0.5 else "one_for_one"
        for _ in range(rng.randint(1, 4)):
            if depth < 2 and rng.random() < 0.3:
                children.append(self.spec(depth + 1))
                continue
            self.names += 1
            name = f"c{self.names}"
            permanent = rng.random() < 0.7
            if strategy == "rest_for_one":
                self.before[name] = list(earlier)
                if permanent:
                    earlier.append(name)
            children.append(
                child(
                    name,
                    self.actor(name),
                    restart="permanent" if permanent else "transient",
                    stall_limit_sec=rng.choice([None, 5.0]),
                    stop_grace_sec=rng.choice([0.0, 2.0]),
                )
            )
        self.names += 1
        return supervisor(
            *children,
            name=f"s{self.names}",
            strategy="rest_for_one" if strategy == "rest_for_one" else "one_for_one",
            intensity=Intensity(restarts=rng.choice([2, 10, 1000]), within_sec=30),
            backoff=Backoff(initial_sec=rng.choice([0.0, 0.5]), maximum_sec=8, jitter=0.5),
        )


def leaves(spec: SupervisorSpec) -> Iterator[ChildSpec]:
    for each in spec.children:
        if isinstance(each, ChildSpec):
            yield each
        else:
            yield from leaves(each)


@settings(max_examples=150)
@given(seed=st.integers(0, 2**32), end=st.sampled_from(["stop", "cancel"]))
async def test_the_tree_keeps_its_promises_in_spite_of_any_child(
    autojump_clock: MockClock, seed: int, end: str
) -> None:
    world, journal = World(chance(seed)), Journal()
    spec = world.spec()
    tree = tree_of(spec, journal, seed)

    async def run(task_status: trio.TaskStatus[None]) -> None:
        try:
            await tree.run(task_status)
        except RestartIntensityExceeded:
            return

    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            await nursery.start(run)
            await trio.sleep(world.rng.uniform(0, 120))
            ended_sec = trio.current_time()
            if end == "stop":
                tree.stop()
            else:
                scope.cancel()

    # The longest that a stop may take: grace of each in turn, and shields that outlast it.
    bound_sec = sum(each.stop_grace_sec + 5 for each in leaves(spec)) if end == "stop" else 5
    assert trio.current_time() - ended_sec <= bound_sec + 1e-6
    assert world.wrong == []
    assert not any(world.alive.values())
    open_now: set[str] = set()
    for event in journal.events:
        if isinstance(event, ChildStarted):
            assert event.name not in open_now
            assert open_now.issuperset(world.before.get(event.name, []))
            open_now.add(event.name)
        elif isinstance(event, ChildCrashed | ChildStopped):
            open_now.remove(event.name)
    assert not open_now
