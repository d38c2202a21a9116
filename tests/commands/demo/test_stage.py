"""When the events of the stage are played, and what an interrupt makes of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable
from decimal import Decimal
from random import Random
from typing import Any, cast

import pytest
import trio

from commands.demo import stage as stage_module
from commands.demo.exchange_client import TradedSymbol
from commands.demo.machine_load import LoadMeter, NotInTimeError
from commands.demo.stage import CUES, Shown, Stage, delisting, result_lost
from commands.demo.tally import Tally
from commands.demo.trader import Desk, Trader
from tests.virtual_time import virtual_time

pytestmark = virtual_time

Play = Callable[[Stage, Shown, Trader], Awaitable[None]]


def _stage(*, own: bool = True) -> Stage:
    nothing = cast(Any, None)
    rng = Random(1)  # noqa: S311 - reproducible
    desk = Desk(
        nothing, nothing, nothing, Tally(), rng, LoadMeter(), nothing, own_reconcile=own, own_executor=own
    )
    traders = [
        Trader(desk, TradedSymbol(f"S{number}USDT", Decimal(1), Decimal(1), Decimal(1)), cooldown_sec=2)
        for number in range(len(CUES))
    ]
    stage = Stage(desk, traders, lambda _: None)
    if own:
        stage.listed = cast(Any, object())
    return stage


def _replace_plays(monkeypatch: pytest.MonkeyPatch, play: Play) -> None:
    """Let each event be this one; its roles stay those of the real one."""
    cues = tuple(dataclasses.replace(cue, play=play) for cue in CUES)
    monkeypatch.setattr(stage_module, "CUES", cues)


async def _at_once(stage: Stage, shown: Shown, trader: Trader) -> None:
    stage.note(shown, "done")


async def _played(stage: Stage, seconds: float | None, stop_sec: float = 1e9) -> list[float]:
    interrupted = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stage.run, seconds, interrupted)
        with trio.move_on_after(stop_sec):
            await trio.sleep(200 if seconds is None else seconds + 1)
        interrupted.set()
    return [event.began_sec for event in stage.events]


async def test_each_event_that_fits_is_played_at_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    _replace_plays(monkeypatch, _at_once)
    assert await _played(_stage(), 45) == pytest.approx(sorted(cue.at_sec for cue in CUES))
    assert await _played(_stage(), 10) == pytest.approx([1.0])
    assert await _played(_stage(), 3) == []


async def test_without_an_end_what_can_happen_again_does(monkeypatch: pytest.MonkeyPatch) -> None:
    _replace_plays(monkeypatch, _at_once)
    begun = await _played(_stage(), None, stop_sec=90.5)
    again = [cue.at_sec for cue in CUES if cue.again]
    assert begun == pytest.approx(sorted([cue.at_sec for cue in CUES] + [at_sec + 45 for at_sec in again]))


async def test_events_need_their_roles() -> None:
    played = _stage(own=False)
    assert [cue.title for cue in CUES if played.has_roles_for(cue)] == ["trade by hand"]
    own = _stage()
    assert all(own.has_roles_for(cue) for cue in CUES)
    own.listed = None
    assert [cue.play for cue in CUES if not own.has_roles_for(cue)] == [delisting]
    own.desk = own.desk._replace(own_executor=False)
    assert [cue.play for cue in CUES if not own.has_roles_for(cue)] == [result_lost, delisting]


async def test_an_interrupt_cuts_off_what_is_going_on(monkeypatch: pytest.MonkeyPatch) -> None:
    async def for_long(stage: Stage, shown: Shown, trader: Trader) -> None:
        await trio.sleep(15)

    _replace_plays(monkeypatch, for_long)
    stage = _stage()
    await _played(stage, None, stop_sec=17)
    assert [event.over for event in stage.events] == [True] * 4
    assert stage.unfinished == {"S1USDT", "S2USDT", "S3USDT"}


async def test_an_event_without_its_consequence_is_counted_and_its_symbol_is_not_judged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def late(stage: Stage, shown: Shown, trader: Trader) -> None:
        raise NotInTimeError("its hold")

    _replace_plays(monkeypatch, late)
    stage = _stage()
    await _played(stage, 10)
    assert stage.desk.tally.first_surprises == ["not in time: trade by hand: its hold"]
    assert stage.unfinished == {"S0USDT"}
