"""The state of the private stream."""

from __future__ import annotations

import msgspec

from brain.moment import Moment


class StreamStatus(msgspec.Struct, frozen=True):
    """Written by the user stream: for `/status`, and for the actor itself when it is restarted.

    `connected_since` and `proven_as_of` are None while no connection is proven, by its listen key and an
    answered ping; all pushes until `proven_as_of` have arrived. `allowance_sec` is what was deducted for
    the exchange's push delay.
    """

    epoch: int = 0
    connected_since: Moment | None = None
    proven_as_of: Moment | None = None
    allowance_sec: float = 0.0
    losses: int = 0
    last_loss: str | None = None
    last_lost_at: Moment | None = None

    @property
    def trusted(self) -> bool:
        """Return True if the connection is proven by an answered ping."""
        return self.proven_as_of is not None
