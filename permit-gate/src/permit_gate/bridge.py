"""Import of trio-asyncio that works on Python 3.14, too: `from permit_gate.bridge import trio_asyncio`.

trio-asyncio 0.16 knows asyncio up to Python 3.13 (https://github.com/python-trio/trio-asyncio/issues/160).
"""

from __future__ import annotations

import asyncio
import sys

if sys.version_info >= (3, 14):
    import warnings
    from _asyncio import _get_running_loop, _set_running_loop
    from typing import Any

    _asyncio: Any = asyncio
    # Base classes of trio-asyncio that asyncio has renamed and removed.
    _asyncio.events.BaseDefaultEventLoopPolicy = _asyncio.events._BaseDefaultEventLoopPolicy
    _asyncio.AbstractChildWatcher = object
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        import trio_asyncio
    # Other packages ask for these names, to see what asyncio can do.
    del _asyncio.events.BaseDefaultEventLoopPolicy, _asyncio.AbstractChildWatcher

    _run_callback = asyncio.Handle._run

    def _run_with_its_loop_running(handle: Any) -> None:
        """Run the callback of a `handle` with its loop as the running one, and only for so long.

        asyncio's tasks look for the running loop in C, where trio-asyncio does not set it. A callback is
        synchronous: no task of Trio runs before it ends. In asyncio's own loops this changes nothing.
        """
        before = _get_running_loop()
        try:
            _set_running_loop(handle._loop)
            _run_callback(handle)
        finally:
            _set_running_loop(before)

    _asyncio.Handle._run = _run_with_its_loop_running
else:
    import trio_asyncio

__all__ = ["trio_asyncio"]
