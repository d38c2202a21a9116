"""Python's collector of cycles, set for a process that decides."""

from __future__ import annotations

import gc

#: So many new objects, less those that are gone, start a round of the collector. Its own default is 700.
_YOUNG_OBJECTS = 10_000


def spare_the_collector() -> None:
    """To be called when all is imported: what is there stays, and is not looked through again.

    A decision makes hundreds of records that no cycle holds: to look through them every few decisions finds
    nothing, and to look through everything takes as long as a hundred decisions.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS)
