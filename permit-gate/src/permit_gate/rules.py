"""What a gate insists on, whichever plan it is asked about."""

from __future__ import annotations

from dataclasses import dataclass, field

#: How long a consumed plan is remembered: a permit of that plan put back later stays useless (seconds).
REMEMBERED_SEC = 3600


@dataclass(frozen=True)
class GateRules:
    """`max_age_sec`: an older P33 permit is refused, by its `created_at` and Redis's clock.

    `consumer` is who consumes, for those who come too late and for people looking. `signing_key` is
    `P33_PERMIT_SIGNING_KEY`; with one, P33 permits without its signature, or signed for another prefix,
    are refused. `prefix` is `P33_KEY_PREFIX`. Raises ValueError for an age that is not within the hour for
    which a gate remembers.
    """

    consumer: str = "permit_gate"
    prefix: str = "quantum"
    signing_key: str | bytes | None = field(default=None, repr=False)
    max_age_sec: float = 60.0

    def __post_init__(self) -> None:
        if not 0 < self.max_age_sec < REMEMBERED_SEC:
            raise ValueError(f"max_age_sec must be above 0 and below {REMEMBERED_SEC}: {self.max_age_sec}")
        if self.signing_key is not None and not self.signing_key:
            raise ValueError("signing_key is empty: leave it out where permits are not signed")

    @property
    def key_bytes(self) -> bytes | None:
        """The signing key as the HMAC takes it."""
        key = self.signing_key
        return key.encode() if isinstance(key, str) else key
