"""Rules of a gate for all plans."""

from __future__ import annotations

from dataclasses import dataclass, field

#: Time for which a consumed plan is remembered (seconds): a permit restored in that time stays unusable.
REMEMBERED_SEC = 3600


@dataclass(frozen=True)
class GateRules:
    """Rules. `max_age_sec`: an older P33 permit is refused, by its `created_at` and Redis's clock.

    `consumer` names the consumer, in the refusals of later ones and for operators. `signing_key` is
    `P33_PERMIT_SIGNING_KEY`; with one, P33 permits without its signature, or signed for another prefix, are
    refused. `prefix` is `P33_KEY_PREFIX`. Raises ValueError for an age outside the hour for which consumed
    plans are remembered.
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
        """Signing key as bytes for the HMAC."""
        key = self.signing_key
        return key.encode() if isinstance(key, str) else key
