"""What is lost in time when whoever answers fails: an actor of the daemon, a floor as a whole."""

from __future__ import annotations

import time
from collections.abc import Callable

from bench.contenders import RESULTS, Session, floor
from bench.door import Door
from bench.figures import DAEMON, Figure
from bench.key_watch import KeyWatch
from bench.ledger_cases import LEDGER_PREFIX, result_fields
from bench.plans import PERMIT_PREFIX, PLANS, fields


def evaluator(session: Session) -> list[Figure]:
    """From the failure of the evaluator to the permit of a plan that is published at that moment."""
    holding = session.stage.held[1]
    with KeyWatch(session.stage.redis_url, PERMIT_PREFIX) as watch:

        def publish_and_wait() -> None:
            plan = fields(holding, allowed=True, now_sec=time.time())
            watch.send(("XADD", PLANS, "*", "plan_id", "crashed", *plan))
            watch.wait_for("crashed")

        took_sec = _struck(session, "permit_evaluator", PLANS, publish_and_wait)
    return [Figure("crash → next permit", "took", "ms", took_sec * 1000)]


def ledger_writer(session: Session) -> list[Figure]:
    """From the failure of the ledger writer to the booking of a result that is published at that moment."""
    holding = session.stage.held[0]
    with KeyWatch(session.stage.redis_url, LEDGER_PREFIX) as watch:

        def publish_and_wait() -> None:
            result = result_fields(holding, "BUY")
            order_id = result[result.index("order_id") + 1].encode()
            watch.send(("XADD", RESULTS, "*", *result))
            last_order = ("HGET", LEDGER_PREFIX + holding.symbol, "last_order_id")
            while session.redis.command(*last_order) != order_id:
                watch.wait_for(holding.symbol)

        took_sec = _struck(session, "ledger_writer", RESULTS, publish_and_wait)
    return [Figure("crash → next booking", "took", "ms", took_sec * 1000)]


def _struck(session: Session, actor: str, stream: str, publish_and_wait: Callable[[], None]) -> float:
    """Seconds from the failure on. A floor is killed, and started again at once, as systemd would."""
    if session.contender == DAEMON:
        with Door(session.stage.folder) as door:
            struck = door.strike(actor)
            publish_and_wait()
            answered_sec = time.perf_counter()
            if struck.at_sec is None or door.starts(actor) == struck.starts:
                raise session.process.failure(f"answered without having restarted {actor}")
            return answered_sec - struck.at_sec
    session.working[stream].kill()
    begun_sec = time.perf_counter()
    with floor(session.stage, session.contender, stream, "again"):
        publish_and_wait()
        return time.perf_counter() - begun_sec
