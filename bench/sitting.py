"""One contender after the other at one number of symbols; what fails is noted, and the rest goes on."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from bench.account import Exchange, NoSnapshotError, holdings
from bench.cases import CASES
from bench.contenders import Session, Stage, exchange_process, session
from bench.figures import CONTENDERS, DAEMON, PREDECESSOR, Failure, Figure
from bench.plans import WrongAnswersError
from bench.processes import ChildFailedError
from bench.redis_socket import RedisRefusedError
from bench.sizes import Sizes
from bench.stream_relay import StreamRelay

#: What ends a case and not the run. OSError: something did not answer in time, or hung up.
_FAILURES = (
    ChildFailedError,
    WrongAnswersError,
    NoSnapshotError,
    RedisRefusedError,
    msgspec.MsgspecError,
    OSError,
)
_LONGEST_WHY = 2_000


class Sitting:
    """Figures and failures of all that was measured at one number of symbols."""

    def __init__(self, symbols: int, sizes: Sizes, names: Sequence[str], say: Callable[[str], None]) -> None:
        """`names` of cases. `say` is told what is being measured."""
        self.symbols = symbols
        self.figures: list[tuple[str, Figure]] = []
        self.failures: list[Failure] = []
        self._sizes = sizes
        self._names = names
        self._say = say

    def measure(self, redis_url: str, exchange_latency_ms: float, contenders: Iterable[str]) -> None:
        """One round. Raises only what makes further measuring senseless."""
        with self._stage(redis_url, exchange_latency_ms) as stage:
            for contender in CONTENDERS:
                if contender not in contenders or (contender == PREDECESSOR and not _has_time(stage)):
                    continue
                here = [name for name in self._names if contender in CASES[name].who]
                opened = [name for name in here if contender == DAEMON and CASES[name].opened]
                self._session(stage, contender, [name for name in here if name not in opened])
                self._session(stage, contender, opened, opened=True)

    @contextmanager
    def _stage(self, redis_url: str, exchange_latency_ms: float) -> Iterator[Stage]:
        with (
            tempfile.TemporaryDirectory(prefix="position-state-brain-bench-") as name,
            exchange_process(Path(name), exchange_latency_ms, self.symbols) as addresses,
            StreamRelay(addresses.ws_url) as relay,
        ):
            yield Stage(
                folder=Path(name),
                redis_url=redis_url,
                exchange=Exchange(addresses.rest_url),
                rest_url=addresses.rest_url,
                relay=relay,
                held=holdings(self.symbols),
                sizes=self._sizes,
                exchange_latency_ms=exchange_latency_ms,
            )

    def _session(self, stage: Stage, contender: str, names: Sequence[str], *, opened: bool = False) -> None:
        if not names:
            return
        left = list(names)
        try:
            with session(stage, contender, opened=opened) as running:
                while left:
                    self._case(running, left.pop(0))
                    if running.process.ended:
                        raise running.process.failure("has ended")
        except _FAILURES as error:
            # It did not start, or is gone: nothing more is to be measured of it.
            for name in left:
                self._fail(contender, name, error)

    def _case(self, running: Session, name: str) -> None:
        self._say(f"{self.symbols} symbols, {running.contender}: {name}")
        try:
            figures = CASES[name].run(running)
        except _FAILURES as error:
            self._fail(running.contender, name, error)
        else:
            self.figures += [(running.contender, figure) for figure in figures]

    def _fail(self, contender: str, name: str, error: Exception) -> None:
        why = f"{type(error).__name__}: {error}"[:_LONGEST_WHY]
        self.failures.append(Failure(self.symbols, name, contender, why))


def _has_time(stage: Stage) -> bool:
    """Whether there is time for the predecessor."""
    return stage.sizes.predecessor_plans > 0
