"""Judgement on the permits of one plan, without I/O: granting so far, or the refusal that ends the wait."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from permit_gate.answers import Refusal, Refused
from permit_gate.reading import Unusable, Yes, read_permit
from permit_gate.rules import GateRules
from permit_gate.sources import P33, PermitSource


@dataclass(frozen=True)
class PlanPermits:
    """Plan with the permits it needs, in the order of `sources`, and the words of every refusal.

    A text that was read is not read again: while one permit is awaited, the others are looked at, too.
    """

    plan_id: str
    symbol: str
    sources: tuple[PermitSource, ...]
    rules: GateRules
    _read: dict[PermitSource, tuple[bytes, Yes | Unusable]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def granting(self, texts: Sequence[bytes | None]) -> list[Yes] | Refused:
        """Return the granting ones of `texts` (None: no permit yet), or the refusal by the first other."""
        granted: list[Yes] = []
        for source, text in zip(self.sources, texts):
            if text is None:
                continue
            known, read = self._read.get(source) or (b"", None)
            if read is None or known != text:
                read = self._read_now(source, text)
            if isinstance(read, Unusable):
                return self.refused(
                    read.refusal, denied_by=source.name, because=read.because, details=read.details
                )
            granted.append(read)
        return granted

    def _read_now(self, source: PermitSource, text: bytes) -> Yes | Unusable:
        read = read_permit(
            source,
            text,
            plan_id=self.plan_id,
            symbol=self.symbol,
            key_prefix=self.rules.prefix,
            signing_key=self.rules.key_bytes,
        )
        self._read[source] = (text, read)
        return read

    def timed_out(self, texts: Sequence[bytes | None]) -> Refused:
        """Return the refusal at the end of the wait, which names the services without a permit."""
        missing = tuple(source.name for source, text in zip(self.sources, texts) if text is None)
        return self.refused(Refusal.PERMIT_TIMEOUT, missing=missing)

    def consumed_before(self, mark: bytes) -> Refused:
        """Return the refusal of a plan whose permits the consumer in `mark` has consumed."""
        by = mark.decode(errors="replace")[:80]
        return self.refused(Refusal.PERMIT_ALREADY_CONSUMED, because=f"by {by}", details={"consumer": by})

    def held(self) -> Refused:
        """Return the refusal by a hold on the symbol."""
        return self.refused(Refusal.RECONCILE_HOLD_ACTIVE, because=f"hold on {self.symbol}")

    def too_old(self, age_ms: int, issuer: PermitSource = P33) -> Refused:
        """Return the refusal of a permit of that age."""
        age_sec = age_ms / 1000
        return self.refused(
            Refusal.PERMIT_TOO_OLD,
            denied_by=issuer.name,
            because=f"{age_sec:.3f} s old, {self.rules.max_age_sec:g} s allowed",
            details={"age_sec": age_sec, "max_age_sec": self.rules.max_age_sec},
        )

    def from_the_future(self, ahead_ms: int, issuer: PermitSource = P33) -> Refused:
        """Return the refusal of a permit created so far ahead of Redis's clock."""
        because = f"created {ahead_ms / 1000:.3f} s ahead of Redis's clock"
        return self.refused(Refusal.PERMIT_FROM_THE_FUTURE, denied_by=issuer.name, because=because)

    def refused(self, reason: Refusal, **fields: Any) -> Refused:
        """Return a refusal of this plan."""
        return Refused(self.plan_id, self.symbol, reason, **fields)
