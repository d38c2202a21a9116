"""Memory settings of a process that decides: Python's collector of cycles, and the C library's allocator."""

from __future__ import annotations

import ctypes
import gc

#: So many new objects, less those that are gone, start a round of the collector. Its own default is 700.
_YOUNG_OBJECTS = 10_000


def spare_the_collector() -> None:
    """Exclude all present objects from Python's cycle collector, and run it less often; call after imports.

    A decision creates hundreds of records without cycles: a collection every few decisions finds nothing, and
    a full one takes as long as a hundred decisions.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS)


#: Numbers of parameters in glibc's `malloc.h`.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
#: Above what a batch of 64 plans packs for Redis (250 to 320 KB): mapped memory would cost every batch four
#: copies' page faults, a tenth of the processor time of a plan.
_LARGE_BYTES, _TRIM_BYTES = 524_288, 1_048_576


def return_freed_memory() -> None:
    """Let glibc give the memory of large buffers back to the system; other C libraries are left alone.

    An answer with the positions of 5 000 symbols takes 1.7 MB. Once one was freed, glibc raises the size from
    which it maps memory (128 KB) above that, and keeps later ones in its heap, with small objects behind.
    Source: mallopt(3).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for parameter, value in (
            (_MMAP_THRESHOLD, _LARGE_BYTES),
            (_TRIM_THRESHOLD, _TRIM_BYTES),
            (_ARENA_MAX, 1),
        ):
            mallopt(parameter, value)
