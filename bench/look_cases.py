"""Case of the pages: decisions while ten people look, against the same while nobody does."""

from __future__ import annotations

from bench.contenders import Session
from bench.figures import Figure, latency_figures
from bench.latency import percentile
from bench.plan_cases import open_loop
from bench.processes import ChildFailedError, child

_RATE = 100
_PAIRS = 4
_CASE = "plan → permit while ten people look, 100 /s"
_ALONE = "the same while nobody does"


def looked_at(session: Session) -> list[Figure]:
    """Measure plans in turns with and without lookers. Raises ChildFailedError if a page is not served."""
    stage, address = session.stage, session.http_address
    if address is None:
        raise ChildFailedError(f"{session.contender} has no pages")
    alone_sec: list[float] = []
    looked_at_sec: list[float] = []
    for number in range(_PAIRS):
        alone_sec += open_loop(session, _RATE)
        symbol = stage.held[0].symbol
        with child(f"lookers-{number}", stage.folder, "bench.lookers", address, symbol) as lookers:
            lookers.first_line()
            looked_at_sec += open_loop(session, _RATE)
            if lookers.ended:
                raise lookers.failure("ended: a page was not served")
    p99 = percentile(sorted(looked_at_sec), 0.99) / percentile(sorted(alone_sec), 0.99)
    return [
        *latency_figures(_ALONE, alone_sec),
        *latency_figures(_CASE, looked_at_sec),
        Figure(_CASE, "p99, as a multiple", "×", p99),
    ]
