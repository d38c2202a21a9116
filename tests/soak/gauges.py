"""Measurements of the running service: memory, descriptors, and the age of its snapshots."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import linear_regression, median

import msgspec

from tests.integration.pipeline import Pipeline

#: Of the run, at its beginning: caches fill, and everything has happened once.
WARM_UP_SHARE = 0.2
_WINDOW_SHARE = 0.1
_FEW = 10


class Course(msgspec.Struct, frozen=True):
    """Samples over the run: medians of a tenth of it, after the warm-up, in the middle, at the end."""

    start: float
    middle: float
    end: float

    @property
    def growth(self) -> float:
        """From the middle to the end: by the middle, all that fills up once has done so."""
        return self.end - self.middle


def course_of(samples: Sequence[float]) -> Course:
    """From samples taken at even intervals over the run. At least one of them."""
    window = max(round(len(samples) * _WINDOW_SHARE), 1)

    def median_from(share: float) -> float:
        begin = min(round(len(samples) * share), len(samples) - window)
        return median(samples[begin : begin + window])

    return Course(
        median_from(WARM_UP_SHARE), median_from(0.5 - _WINDOW_SHARE / 2), median_from(1 - _WINDOW_SHARE)
    )


def slope_per_hour(samples: Sequence[float], every_sec: float) -> float:
    """Return the growth an hour by the straight line through the samples after the warm-up; 0 for a few."""
    judged = samples[round(len(samples) * WARM_UP_SHARE) :]
    if len(judged) < _FEW:
        return 0.0
    return linear_regression(range(len(judged)), judged).slope * 3600 / every_sec


def resident_mb(pid: int) -> float:
    """Return a process's resident memory now, in 10^6 bytes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def open_descriptors(pid: int) -> int:
    """Return a process's open files and sockets now (Linux)."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def oldest_snapshot_sec(pipeline: Pipeline, symbols: Sequence[str]) -> float:
    """Return the age of their oldest snapshot by this host's clock; infinite if one is missing."""
    pipe = pipeline.redis.pipeline(transaction=False)
    for symbol in symbols:
        pipe.hget(f"quantum:position:snapshot:{symbol}", "ts_epoch_ms")
    now_sec = time.time()
    return max(now_sec - float(text) / 1000 if text else float("inf") for text in pipe.execute())
