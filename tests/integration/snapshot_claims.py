"""Everything that is ever written to snapshots, as Redis's MONITOR shows it, and what that claims."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from decimal import Decimal

import msgspec

from simulator.history import PositionSide
from tests.integration.monitored_redis import monitored, words_of

_SNAPSHOT = "quantum:position:snapshot:"


class Claim(msgspec.Struct, frozen=True):
    """A snapshot's claim after the write of `written_ms`: the position was `amount` at `ts_epoch_ms`."""

    symbol: str
    amount: Decimal
    legs: dict[PositionSide, Decimal]
    ts_epoch_ms: int
    verified_by: str
    written_ms: float


class SnapshotClaims:
    """Follows the hashes through their writes, those of scripts included."""

    def __init__(self) -> None:
        self.claims: list[Claim] = []
        self._hashes: dict[str, dict[str, str]] = {}

    def take(self, line: bytes) -> None:
        """Take in a line of MONITOR."""
        words = words_of(line)
        if len(words) < 2 or not words[1].startswith(_SNAPSHOT):
            return
        symbol = words[1].removeprefix(_SNAPSHOT)
        command = words[0].upper()
        if command == "DEL":
            self._hashes.pop(symbol, None)
        if command != "HSET":
            return
        fields = self._hashes.setdefault(symbol, {})
        fields.update(zip(words[2::2], words[3::2], strict=True))
        if "ts_epoch_ms" in words[2::2]:
            amount = Decimal(fields["position_amt"])
            legs: dict[PositionSide, Decimal] = {"BOTH": amount}
            if "long_amt" in fields:
                legs = {"LONG": Decimal(fields["long_amt"]), "SHORT": Decimal(fields["short_amt"])}
            self.claims.append(
                Claim(
                    symbol,
                    amount,
                    legs,
                    int(fields["ts_epoch_ms"]),
                    fields["verified_by"],
                    written_ms=float(line[1:].split(b" ", 1)[0]) * 1000,
                )
            )

    def steps_back(self) -> Iterator[tuple[Claim, Claim]]:
        """Claims that are older than the one before them."""
        latest: dict[str, Claim] = {}
        for claim in self.claims:
            before = latest.get(claim.symbol)
            if before is not None and claim.ts_epoch_ms < before.ts_epoch_ms:
                yield before, claim
            latest[claim.symbol] = claim


@asynccontextmanager
async def watched_claims(redis_url: str) -> AsyncIterator[SnapshotClaims]:
    """Watch a Redis for the length of the block."""
    claims = SnapshotClaims()
    async with monitored(redis_url, claims.take):
        yield claims
