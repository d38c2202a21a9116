"""Cases of recovery time after a failure: of an actor of the daemon, or of a whole floor."""

from __future__ import annotations

import time
from collections.abc import Callable

from bench.contenders import RESULTS, Session, floor
from bench.control_socket import ControlSocket
from bench.figures import DAEMON, Figure
from bench.key_watch import KeyWatch
from bench.ledger_cases import LEDGER_PREFIX, result_fields
from bench.plans import PERMIT_PREFIX, PLANS, fields


def evaluator(session: Session) -> list[Figure]:
    """Measure from the failure of the evaluator to the permit of a plan published at that moment."""
    holding = session.stage.held[1]
    with KeyWatch(session.stage.redis_url, PERMIT_PREFIX) as watch:

        def publish_and_wait() -> None:
            plan = fields(holding, allowed=True, now_sec=time.time())
            watch.send(("XADD", PLANS, "*", "plan_id", "crashed", *plan))
            watch.wait_for("crashed")

        took_sec = _recovery_sec(session, "permit_evaluator", PLANS, publish_and_wait)
    return [Figure("crash → next permit", "took", "ms", took_sec * 1000)]


def ledger_writer(session: Session) -> list[Figure]:
    """Measure from the failure of the ledger writer to the booking of a result published at that moment."""
    holding = session.stage.held[0]
    with KeyWatch(session.stage.redis_url, LEDGER_PREFIX) as watch:

        def publish_and_wait() -> None:
            result = result_fields(holding, "BUY")
            order_id = result[result.index("order_id") + 1].encode()
            watch.send(("XADD", RESULTS, "*", *result))
            last_order = ("HGET", LEDGER_PREFIX + holding.symbol, "last_order_id")
            while session.redis.command(*last_order) != order_id:
                watch.wait_for(holding.symbol)

        took_sec = _recovery_sec(session, "ledger_writer", RESULTS, publish_and_wait)
    return [Figure("crash → next booking", "took", "ms", took_sec * 1000)]


def _recovery_sec(session: Session, actor: str, stream: str, publish_and_wait: Callable[[], None]) -> float:
    """Return the seconds since the failure. A floor is killed, and restarted at once, as by systemd."""
    if session.contender == DAEMON:
        with ControlSocket(session.stage.folder) as control:
            failure = control.fail(actor)
            publish_and_wait()
            answered_sec = time.perf_counter()
            if failure.at_sec is None or control.starts(actor) == failure.starts:
                raise session.process.failure(f"answered without having restarted {actor}")
            return answered_sec - failure.at_sec
    session.working[stream].kill()
    begun_sec = time.perf_counter()
    with floor(session.stage, session.contender, stream, "again"):
        publish_and_wait()
        return time.perf_counter() - begun_sec
