from __future__ import annotations

import pytest

from tests.actors.stream_fakes import FakeBinance, SleepyClock
from tests.actors.stream_rig import StreamRig


@pytest.fixture
def clock() -> SleepyClock:
    return SleepyClock()


@pytest.fixture
def binance(clock: SleepyClock) -> FakeBinance:
    return FakeBinance(clock)


@pytest.fixture
def rig(binance: FakeBinance, clock: SleepyClock) -> StreamRig:
    return StreamRig(binance, binance, clock)
