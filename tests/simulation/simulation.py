"""One seed, from its first second to its last."""

from __future__ import annotations

import time
from collections.abc import Sequence
from random import Random

import msgspec
import trio

from simulator import external_events
from tests.simulation import deterministic_trio
from tests.simulation.clocks import beginning_at
from tests.simulation.faults import (
    CALM_SEC,
    DONE_SEC,
    FAULTY_SEC,
    FIRST_ROUND_SEC,
    ROUND_SEC,
    Fault,
    draw_faults,
)
from tests.simulation.field_watch import StreamWatch
from tests.simulation.liveness import Liveness
from tests.simulation.scene import BY_SEED, Roles, Scene, scene_of
from tests.simulation.striking import Striker
from tests.simulation.trace import Trace
from tests.simulation.unhurried import without_sockets
from tests.simulation.verdicts import ViolationError
from tests.simulation.world import World

_STORY_LINES = 160
_ROLE_WORDS = {True: "on", False: "off"}
#: As the Makefile has it.
PYTHON = ".venv/bin/python"
ROUNDS_PER_HOUR = 2
#: Before the next round begins, what the last question left behind is over.
_AT_REST_SEC = 60.0
#: And before that, a person has settled what is left to one.
_SETTLED_SEC = 300.0


class Outcome(msgspec.Struct, frozen=True):
    """Result of a run. `violation` is None when everything held."""

    seed: str
    rounds: int
    hours: float
    cpu_sec: float
    steps: int
    digest: str
    faults: int
    invariant: str | None = None
    violation: str | None = None
    roles: Roles = BY_SEED
    at_sec: float = 0.0
    story: tuple[str, ...] = ()
    counts: dict[str, int] = {}


def simulate(
    seed: str,
    rounds: int = ROUNDS_PER_HOUR,
    faults: Sequence[Fault] | None = None,
    *,
    roles: Roles = BY_SEED,
    log_to_trace: bool = False,
    story_lines: int = _STORY_LINES,
) -> Outcome:
    """Run a seed for so many rounds of half a virtual hour, with its own faults unless others are given.

    `roles` decide in the place of the seed who sends the orders, who judges beside P3.3, and who repairs.
    """
    if faults is None:
        faults = draw_faults(seed, rounds, roles=roles)
    trace = Trace()
    scene = scene_of(seed, roles)
    run = _Run(scene, rounds, list(faults), trace, log_to_trace)
    began_sec = time.process_time()
    violation: ViolationError | None = None
    with without_sockets(), beginning_at(scene.epoch_ms):
        try:
            deterministic_trio.run(run.main, seed)
        except BaseException as error:
            violation = _violation_in(error)
            if violation is None:
                # Nothing that a guarantee speaks of, and to be repeated all the same.
                error.add_note(f"again: {command(seed, rounds, roles)}")
                raise
    return Outcome(
        seed=seed,
        rounds=rounds,
        hours=run.ended_sec / 3600,
        cpu_sec=time.process_time() - began_sec,
        steps=trace.steps,
        digest=trace.digest(),
        faults=len(faults),
        invariant=violation.invariant if violation else None,
        violation=violation.what if violation else None,
        roles=roles,
        at_sec=run.ended_sec,
        story=tuple(trace.last(story_lines)) if violation else (),
        counts=run.counts,
    )


def command(seed: str, rounds: int, roles: Roles) -> str:
    """Return the command that runs a seed."""
    chosen = "".join(
        f" --{role.replace('_', '-')} {_ROLE_WORDS.get(wanted, wanted)}"
        for role, wanted in msgspec.structs.asdict(roles).items()
        if wanted is not None
    )
    return f"{PYTHON} -m tests.simulation --seed {seed} --rounds {rounds}{chosen}"


class _Run:
    def __init__(
        self, scene: Scene, rounds: int, faults: list[Fault], trace: Trace, log_to_trace: bool
    ) -> None:
        self.ended_sec = 0.0
        self.counts: dict[str, int] = {}
        self._scene = scene
        self._rounds = rounds
        self._faults = faults
        self._trace = trace
        self._log_to_trace = log_to_trace

    async def main(self) -> None:
        """Run everything. Raises ViolationError, perhaps in a group."""
        world = World(self._scene, self._trace, log_to_trace=self._log_to_trace)
        liveness = Liveness(world)
        rng = Random(f"{self._scene.seed}:run")
        for symbol in world.scene.symbols:
            if rng.random() < 0.5:
                leg = world.venue.legs_of(symbol)[0]
                steps = rng.randint(20, 90)
                external_events.move_position(
                    world.venue, symbol, delta=steps * world.venue.symbol(symbol).step_size, position_side=leg
                )
        striker = Striker(world, self._faults, liveness)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(world.streams.run)
                await world.neighbours.live(nursery)
                world.orders.start(nursery)
                world.governing.start(nursery)
                world.reconciling.start(nursery)
                for process in world.processes.values():
                    nursery.start_soon(process.life)
                nursery.start_soon(world.neighbours.trade, rng.choice((0.6, 1.5, 3.0)))
                nursery.start_soon(striker.strike)
                nursery.start_soon(StreamWatch(world).watch)
                nursery.start_soon(_end_when_violated, world)
                await trio.sleep_until(FIRST_ROUND_SEC)
                for number in range(self._rounds):
                    begin_sec = FIRST_ROUND_SEC + number * ROUND_SEC
                    world.neighbours.set_trading(True)
                    world.orders.set_trading(True)
                    world.governing.set_trading(True)
                    world.reconciling.set_trading(True)
                    await trio.sleep_until(begin_sec + FAULTY_SEC)
                    world.neighbours.set_trading(False)
                    world.orders.set_trading(False)
                    world.governing.set_trading(False)
                    world.reconciling.set_trading(False)
                    self._trace.note("calm")
                    world.calm()
                    await trio.sleep_until(begin_sec + FAULTY_SEC + CALM_SEC)
                    await liveness.all_is_well()
                    await world.chain.bridge.all_is_well()
                    await liveness.flat_rows_change_nothing()
                    await trio.sleep_until(begin_sec + FAULTY_SEC + CALM_SEC + DONE_SEC)
                    if world.scene.executor:
                        await world.orders.rest.all_is_told()
                    liveness.all_is_done()
                    # While nothing happens, only the key's own proof can show that it is dead.
                    world.venue.delete_listen_key(silently=True)
                    world.tidy()
                    deterministic_trio.collect()
                    if world.reconciling.there:
                        await trio.sleep_until(begin_sec + ROUND_SEC - _SETTLED_SEC)
                        await world.reconciling.rest.all_is_settled()
                    await trio.sleep_until(begin_sec + ROUND_SEC - _AT_REST_SEC)
                    world.governing.all_is_over()
                    world.chain.all_is_over()
                    if world.scene.executor:
                        world.orders.rest.all_is_over()
                        await liveness.plans_are_executed()
                    else:
                        if world.scene.dry_run:
                            world.orders.dry_run.all_is_over()
                        await liveness.plans_are_allowed()
                        await liveness.unknown_outcomes_end()
                    await world.chain.bridge.intents_become_plans()
                    await trio.sleep_until(begin_sec + ROUND_SEC)
                nursery.cancel_scope.cancel()
        finally:
            self.ended_sec = trio.current_time()
            self.counts = world.counts()


async def _end_when_violated(world: World) -> None:
    await world.violated.wait()
    assert world.violation is not None
    raise world.violation


def _violation_in(error: BaseException) -> ViolationError | None:
    if isinstance(error, ViolationError):
        return error
    if isinstance(error, BaseExceptionGroup):
        found = (_violation_in(each) for each in error.exceptions)
        return next((violation for violation in found if violation is not None), None)
    return None
