"""Pacing of long work for a request, so that decisions go on as if nothing else was done."""

from __future__ import annotations

import trio

#: A decision takes ten rounds of the loop: behind a checkpoint alone it waits for a piece in each of them.
_PAUSE_SEC = 0.001


async def pause() -> None:
    """Leave the loop to others for about a millisecond; called behind each piece of at most 0.3 ms."""
    await trio.sleep(_PAUSE_SEC)
