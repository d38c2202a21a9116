"""How often positions are read."""

from __future__ import annotations

import msgspec


class Cadence(msgspec.Struct, frozen=True):
    """Seconds between reads: without a trusted stream (`poll_sec`), and to audit it (`audit_sec`)."""

    poll_sec: float
    audit_sec: float

    def interval_sec(self, *, stream_proven: bool) -> float:
        """Seconds from one read to the next."""
        return self.audit_sec if stream_proven else self.poll_sec


#: How long the account update of a fill may be missing before positions are read instead.
FILL_WITHOUT_UPDATE_SEC = 1.0
_FIRST_RETRY_SEC = 0.5
_LONGEST_RETRY_SEC = 2.0
#: A float overflows at 1024 of them.
_MOST_DOUBLINGS = 10


def retry_sec(failures: int, cadence: Cadence) -> float:
    """The pause after so many (at least one) failures in a row."""
    doublings = min(failures - 1, _MOST_DOUBLINGS)
    return min(_FIRST_RETRY_SEC * 2.0**doublings, _LONGEST_RETRY_SEC, cadence.poll_sec)
