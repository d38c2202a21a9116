"""How an actor shows that it makes progress. The supervisor gives each its own."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

import trio


class Heartbeat(Protocol):
    """An actor that neither beats, waits for something named, nor idles is taken for stuck and restarted.

    A heartbeat speaks for one line of work; an actor of several tasks gives each its own `strand()`.
    """

    @property
    def stopping(self) -> trio.Event:
        """Set when the service shuts down: finish what is in hand, take nothing new."""
        ...

    def beat(self) -> None:
        """Work went on just now."""
        ...

    def waiting_for(self, what: str) -> AbstractContextManager[object]:
        """Within: a dependency is away, and waiting for it is progress. `what` is shown to operators."""
        ...

    def idle(self) -> AbstractContextManager[object]:
        """Within: there is nothing to do, and that may last."""
        ...

    def strand(self) -> AbstractContextManager[Heartbeat]:
        """A heartbeat for one of several tasks, watched until the end of the block."""
        ...
