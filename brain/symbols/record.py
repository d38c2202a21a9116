"""Audit record of a judgement on the universe: its complete input and outcome, as text and back."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

import msgspec

from brain.json_text import read_json
from brain.symbols.publication import (
    NO_READS,
    Judgement,
    Listing,
    Outcome,
    ShrunkReads,
    Stored,
    judge,
    not_published,
)
from brain.symbols.universe import ListedContract, UniverseRules

_JSON = msgspec.json.Encoder()


class UnreadableUniverseError(ValueError):
    """Bytes are no audit record of the universe."""


class _Row(msgspec.Struct, frozen=True, array_like=True):
    """A listed contract; a list of 600 takes half of what objects take."""

    symbol: str
    status: str
    contract_type: str
    quote_asset: str
    onboard_date: int
    delivery_date: int


class _RecordedListing(msgspec.Struct, frozen=True):
    contracts: tuple[_Row, ...]
    exchange_ms: int
    volumes: dict[str, Decimal] | None
    unreadable: frozenset[str]


class UniverseRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Audit record. A new field here, or in a struct inside it, needs a default: older records lack it.

    `listing` is None for a read that failed, as `failed` says. `stored`, `shrunk`, `counts`: as `judge` has
    them. `judgement` is the exact text of the outcome.
    """

    issued_by: str
    decided_ms: int
    listing: _RecordedListing | None
    failed: str
    stored: Stored
    rules: UniverseRules
    shrunk: ShrunkReads
    counts: bool
    judgement: msgspec.Raw
    v: int = 1


class UniverseInput(msgspec.Struct, frozen=True):
    """Input of a judgement: a listing, or why there is none."""

    listing: Listing | None
    stored: Stored
    rules: UniverseRules
    shrunk: ShrunkReads = NO_READS
    counts: bool = True
    failed: str = ""


class JudgedUniverse(msgspec.Struct, frozen=True):
    """Judgement as recorded, and as the rules give it now."""

    record: UniverseRecord
    recorded: Judgement
    judged: Judgement

    @property
    def same_answer(self) -> bool:
        """True if both publish the same list, or none for the same cause."""
        return _answer(self.recorded) == _answer(self.judged)

    @property
    def identical(self) -> bool:
        """True if both are equal in every value."""
        return self.recorded == self.judged

    def differences(self) -> list[tuple[str, object, object]]:
        """Return name, recorded and present value of each difference, as JSON values."""
        found = []
        for name in Judgement.__struct_fields__:
            before, now = getattr(self.recorded, name), getattr(self.judged, name)
            if before != now and name != "universe":
                found.append((name, msgspec.to_builtins(before), msgspec.to_builtins(now)))
        before_symbols, symbols = _symbols(self.recorded), _symbols(self.judged)
        if before_symbols != symbols:
            found.append(("gone, new", sorted(before_symbols - symbols), sorted(symbols - before_symbols)))
        return found


_RECORDS: Final = msgspec.json.Decoder(UniverseRecord)
_JUDGEMENTS: Final = msgspec.json.Decoder(Judgement)


def judge_input(given: UniverseInput) -> Judgement:
    """Judge a read of the listing, or one that failed."""
    if given.listing is None:
        return not_published(Outcome.FETCH_FAILED, given.failed, given.stored, given.shrunk)
    return judge(given.listing, given.stored, given.rules, shrunk=given.shrunk, counts=given.counts)


def audit_fields(
    judgement: Judgement, given: UniverseInput, *, decided_ms: int, issued_by: str, shadow: bool
) -> tuple[str, ...]:
    """Return the names and values of one entry of `universe.audit`."""
    record = UniverseRecord(
        issued_by=issued_by,
        decided_ms=decided_ms,
        listing=None if given.listing is None else _recorded(given.listing),
        failed=given.failed,
        stored=given.stored,
        rules=given.rules,
        shrunk=given.shrunk,
        counts=given.counts,
        judgement=msgspec.Raw(_JSON.encode(judgement)),
    )
    universe = judgement.universe
    return (
        "outcome", judgement.outcome,
        "count", "" if universe is None else str(len(universe.symbols)),
        "error", judgement.error,
        "shrunk_by", str(judgement.shrunk_by),
        "decided_ms", str(decided_ms),
        "issued_by", issued_by,
        *(("mode", "shadow") if shadow else ()),
        "record", _JSON.encode(record).decode(),
    )  # fmt: skip


def read_universe_record(text: bytes | str) -> UniverseRecord:
    """Parse the `record` of an audit entry. Raises UnreadableUniverseError."""
    try:
        return read_json(_RECORDS, text)
    except (msgspec.MsgspecError, ValueError) as error:
        raise UnreadableUniverseError(f"not an audit record of the universe: {error}") from None


def input_of(record: UniverseRecord) -> UniverseInput:
    """Return the input of a record."""
    listing = None if record.listing is None else _listing(record.listing)
    return UniverseInput(listing, record.stored, record.rules, record.shrunk, record.counts, record.failed)


def judge_universe_again(
    text: bytes | str, changed_rules: Mapping[str, object] | None = None
) -> JudgedUniverse:
    """Judge the input of a record again; `changed_rules` replace values of its `UniverseRules`.

    Raises UnreadableUniverseError.
    """
    record = read_universe_record(text)
    try:
        recorded = read_json(_JUDGEMENTS, record.judgement)
    except (msgspec.MsgspecError, ValueError) as error:
        raise UnreadableUniverseError(f"not a judgement: {error}") from None
    given = input_of(record)
    if changed_rules:
        rules = msgspec.structs.replace(given.rules, **changed_rules)
        given = msgspec.structs.replace(given, rules=rules)
    return JudgedUniverse(record, recorded, judge_input(given))


def _recorded(listing: Listing) -> _RecordedListing:
    rows = tuple(_Row(*msgspec.structs.astuple(each)) for each in listing.contracts)
    volumes = None if listing.volumes is None else dict(listing.volumes)
    return _RecordedListing(rows, listing.exchange_ms, volumes, listing.unreadable)


def _listing(recorded: _RecordedListing) -> Listing:
    contracts = tuple(ListedContract(*msgspec.structs.astuple(each)) for each in recorded.contracts)
    return Listing(contracts, recorded.exchange_ms, recorded.volumes, recorded.unreadable)


def _symbols(judgement: Judgement) -> frozenset[str]:
    return frozenset() if judgement.universe is None else frozenset(judgement.universe.symbols)


def _answer(judgement: Judgement) -> tuple[Outcome, frozenset[str]]:
    return judgement.outcome, _symbols(judgement)
