"""What the private stream is worth at present."""

from __future__ import annotations

import msgspec

from brain.moment import Moment


class StreamStatus(msgspec.Struct, frozen=True):
    """Told by the user stream: for `/status`, and for the actor itself when it is restarted.

    `connected_since` and `proven_as_of` are None while no connection is proven, by its listen key and an
    answered ping; all that was pushed until `proven_as_of` has come. `allowance_sec` is what was deducted for
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
        """Whether the connection stands and has proven that it lives."""
        return self.proven_as_of is not None
