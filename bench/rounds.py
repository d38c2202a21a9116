"""Rounds of all contenders at one number of symbols; a failing case is recorded, and the rest goes on."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
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

#: Errors that end a case and not the run. OSError: timeout or closed connection.
_FAILURES = (
    ChildFailedError,
    WrongAnswersError,
    NoSnapshotError,
    RedisRefusedError,
    msgspec.MsgspecError,
    OSError,
)
_LONGEST_WHY = 2_000


class Rounds:
    """Rounds at one number of symbols, with their figures and failures."""

    def __init__(self, symbols: int, sizes: Sizes, names: Sequence[str], say: Callable[[str], None]) -> None:
        """Take `names` of cases, and `say`, called with the present measurement."""
        self.symbols = symbols
        self.figures: list[tuple[str, Figure]] = []
        self.failures: list[Failure] = []
        self._sizes = sizes
        self._names = names
        self._say = say

    def measure(self, redis_url: str, exchange_latency_ms: float, contenders: Iterable[str]) -> None:
        """Run one round. Raises only errors that affect all further measurements."""
        with (
            tempfile.TemporaryDirectory(prefix="position-state-brain-bench-") as name,
            exchange_process(Path(name), exchange_latency_ms, self.symbols) as addresses,
            StreamRelay(addresses.ws_url) as relay,
        ):
            stage = Stage(
                folder=Path(name),
                redis_url=redis_url,
                exchange=Exchange(addresses.rest_url),
                rest_url=addresses.rest_url,
                relay=relay,
                held=holdings(self.symbols),
                sizes=self._sizes,
                exchange_latency_ms=exchange_latency_ms,
            )
            for contender in CONTENDERS:
                skipped = contender == PREDECESSOR and not self._sizes.predecessor_plans
                if skipped or contender not in contenders:
                    continue
                here = [name for name in self._names if contender in CASES[name].who]
                far = [name for name in here if CASES[name].is_far]
                instrumented = [name for name in here if contender == DAEMON and CASES[name].instrumented]
                apart = [name for name in here if CASES[name].is_apart]
                plain = [name for name in here if name not in {*far, *instrumented, *apart}]
                self._session(stage, contender, plain)
                self._session(stage, contender, far, is_far=True)
                self._session(stage, contender, instrumented, instrumented=True)
                for name in apart:
                    self._session(stage, contender, [name])

    def _session(
        self,
        stage: Stage,
        contender: str,
        names: Sequence[str],
        *,
        instrumented: bool = False,
        is_far: bool = False,
    ) -> None:
        if not names:
            return
        left = list(names)
        try:
            with session(stage, contender, instrumented=instrumented, is_far=is_far) as running:
                while left:
                    self._case(running, left.pop(0))
                    if running.process.ended:
                        raise running.process.failure("has ended")
        except _FAILURES as error:
            # It did not start, or has ended: its other cases cannot be measured.
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
