from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing

from commands.demo.machine_load import Counters, Load, LoadMeter, Patience, read_counters
from tests.virtual_time import virtual_time

pytestmark = virtual_time


def _share_waiting(share: float) -> Callable[[], Counters]:
    """Return a reader of a machine where processes wait for this share of the time."""
    return lambda: Counters(waiting_sec=share * trio.current_time())


@asynccontextmanager
async def _measuring(read: Callable[[], Counters] = Counters) -> AsyncIterator[LoadMeter]:
    meter = LoadMeter(read)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(meter.run)
        await trio.sleep(1)
        yield meter
        nursery.cancel_scope.cancel()


async def test_a_calm_machine_stretches_nothing() -> None:
    async with _measuring() as meter:
        assert meter.now == Load()
        assert meter.stretched(3.0) == 3.0
        assert not meter.now.is_too_busy


async def test_a_freeze_counts_at_once_and_is_forgotten_after_the_window(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with _measuring() as meter:
        autojump_clock.jump(1.5)
        assert meter.now.late_sec == pytest.approx(1.3, abs=0.21)
        assert meter.now.is_too_busy
        await trio.sleep(1)
        assert meter.now.is_too_busy
        await trio.sleep(7)
        assert meter.now.late_sec == 0


@pytest.mark.parametrize(("share", "slowdown"), [(0.0, 1.0), (0.5, 2.0), (0.75, 4.0), (1.0, 5.0)])
async def test_processes_that_wait_slow_everything_down_by_their_share(share: float, slowdown: float) -> None:
    async with _measuring(_share_waiting(share)) as meter:
        assert meter.now.slowdown == pytest.approx(slowdown)
        assert meter.now.is_too_busy is (share >= 0.5)


async def test_a_host_that_takes_processors_away_slows_everything_down() -> None:
    def read() -> Counters:
        passed = int(trio.current_time() * 1000)
        return Counters(waiting_sec=0.0, stolen=passed * 6 // 10, busy=passed)

    async with _measuring(read) as meter:
        assert meter.now.stolen == pytest.approx(0.6, abs=0.01)
        assert meter.now.is_too_busy


async def test_without_the_counter_of_waiting_the_load_average_stands_in() -> None:
    async with _measuring(lambda: Counters(crowd=3.0)) as meter:
        assert meter.now.slowdown == pytest.approx(3.0)
    async with _measuring(lambda: Counters(crowd=0.2)) as meter:
        assert meter.now.slowdown == 1.0


@pytest.mark.parametrize(("share", "lasts_sec"), [(0.0, 3.0), (0.75, 12.0), (1.0, 15.0)])
async def test_patience_lasts_longer_on_a_busy_machine(share: float, lasts_sec: float) -> None:
    async with _measuring(_share_waiting(share)) as meter:
        patience = Patience(3.0, meter)
        begun_sec = trio.current_time()
        while not patience.is_over:  # noqa: ASYNC110 - it is looked at, as the demo does
            await trio.sleep(0.01)
        assert trio.current_time() - begun_sec == pytest.approx(lasts_sec, abs=0.05)


def test_the_kernel_is_read_from_its_files(tmp_path: Path) -> None:
    (tmp_path / "pressure").mkdir()
    (tmp_path / "pressure" / "cpu").write_text(
        "some avg10=9.10 avg60=8.28 avg300=0.87 total=2500000\nfull avg10=0.00 avg60=0.00 total=0\n"
    )
    (tmp_path / "stat").write_text("cpu  100 20 30 4000 50 6 7 80 0 0\ncpu0 1 2 3 4 5 6 7 8 0 0\n")
    counters = read_counters(tmp_path)
    assert counters[:3] == (2.5, 80, 243)


def test_a_kernel_without_these_files_has_the_load_average_alone(tmp_path: Path) -> None:
    counters = read_counters(tmp_path)
    assert counters[:3] == (None, 0, 0)
    assert counters.crowd >= 0


def test_the_load_in_words_has_the_numbers() -> None:
    assert str(Load(1.837, 0.98, 0.031)) == (
        "timers fired up to 1.84 s late, processes waited for a processor 98% of the time, "
        "3% of the processors' time was stolen"
    )
