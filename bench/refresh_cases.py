"""Case of a read of all positions: from its bytes to Redis."""

from __future__ import annotations

from statistics import median

import msgspec

from bench.contenders import Session
from bench.figures import DAEMON, Figure
from bench.processes import child
from bench.refresh_work import Refresh


def bulk_refresh(session: Session) -> list[Figure]:
    """Measure in a process of its own, beside an idle daemon; medians over the rounds."""
    stage = session.stage
    body = stage.folder / "positions.json"
    body.write_bytes(stage.exchange.positions_text())
    arguments = (session.contender, stage.redis_url, str(body), str(stage.sizes.refreshes))
    with child(f"refresh-{session.contender}", stage.folder, "bench.refresh_work", *arguments) as worker:
        rounds = msgspec.json.decode(worker.first_line(), type=list[Refresh])
    case = "bulk refresh of all symbols"
    figures = [
        Figure(case, "decode", "ms", median(each.decode_ms for each in rounds)),
        Figure(case, "write", "ms", median(each.write_ms for each in rounds)),
        Figure(case, "CPU", "ms", median(each.cpu_ms for each in rounds)),
    ]
    if session.contender == DAEMON:
        figures.insert(1, Figure(case, "merge", "ms", median(each.merge_ms for each in rounds)))
    return figures
