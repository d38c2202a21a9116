"""The page of a symbol: position, ledger, what restricts it, open permits, decisions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from brain.identifiers import PlanId, Symbol
from brain.moment import iso_utc
from brain.numbers import ZERO, plain
from brain.positions.position import Snapshot
from channels import SnapshotBook
from clock import Clock
from explanation.entry_texts import texts_of
from explanation.printable import printable
from explanation.sections import Row
from monitoring.acts.wording import OPERATOR
from monitoring.find.age_history import AgeHistory
from monitoring.find.audit_index import AuditIndex
from monitoring.find.decisions import listed
from monitoring.find.known_symbols import KnownSymbols
from monitoring.find.query import Query, newest_of
from monitoring.open_permits import in_order, permit_row
from monitoring.patience import UnreadError, read_in_time
from page.find_content import ListedDecision, SymbolPage
from page.permit_content import PermitRow
from page.words import duration
from store.desk_protocol import DeskStore, ReadKeys
from store.errors import StoreError
from store.keys import ExecutorKeys, Keys

_DECISIONS_SHOWN, _PERMITS_SHOWN = 20, 50
_INDEX_READS_SEC = 0.3


class SymbolView:
    """Answers `/symbols/<symbol>`."""

    def __init__(
        self,
        store: DeskStore,
        keys: Keys,
        clock: Clock,
        index: AuditIndex,
        book: SnapshotBook,
        ages: AgeHistory,
        symbols: KnownSymbols,
    ) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock
        self._index = index
        self._book = book
        self._ages = ages
        self._symbols = symbols

    async def known(self, name: str) -> Symbol | None:
        """Return the symbol of a name; None for a text that names none in capital letters that is known."""
        try:
            known = await self._symbols.known(name, _INDEX_READS_SEC)
        except StoreError:
            return None
        return Symbol(name) if known else None

    async def page(self, name: Symbol) -> SymbolPage:
        """Return the page of a symbol."""
        notes: list[str] = []
        read = await self._read(name, notes)
        permits = _permits(name, read)
        return SymbolPage(
            symbol=name,
            position=tuple(self._position(name)),
            ledger=() if read is None else tuple(_ledger(read)),
            restrictions=() if read is None else tuple(_restrictions(read)),
            permits=tuple(permits[:_PERMITS_SHOWN]),
            permits_left_out=max(len(permits) - _PERMITS_SHOWN, 0),
            permits_unread=read is None or read.hashes[1] is None,
            ages=self._ages.ages(name),
            decisions=await self._decisions(name, notes),
            all_decisions=Query(symbol=name).link(),
            held=None if read is None else read.strings[0] is not None,
            by_operator=read is not None and (read.strings[2] or b"").startswith(OPERATOR.encode()),
            notes=tuple(notes),
        )

    async def _read(self, symbol: Symbol, notes: list[str]) -> ReadKeys | None:
        executor = ExecutorKeys(self._keys)
        strings = [
            self._keys.hold(symbol), executor.hold_reason(symbol), executor.hold_sig(symbol),
            self._keys.cooldown(symbol),
        ]  # fmt: skip
        hashes = [self._keys.ledger(symbol), self._keys.open_permits(symbol), *self._symbols.cases(symbol)]
        try:
            return await read_in_time(self._store.read_keys(strings, hashes))
        except UnreadError as error:
            notes.append(f"Redis cannot be read, ledger, permits and holds are not shown: {error}")
            return None

    def _position(self, symbol: Symbol) -> Iterator[Row]:
        snapshot = self._book.get(symbol)
        if snapshot is None:
            yield "snapshot", "none yet"
            return
        age_sec = snapshot.verified_at.age_sec(self._clock.now())
        trusted = "" if self._book.is_trusted(snapshot) else ", not trusted"
        yield from _legs(snapshot)
        yield "mark price", "not known" if snapshot.mark_price is None else plain(snapshot.mark_price)
        if snapshot.mark_price is not None:
            yield (
                "notional",
                plain(sum((abs(leg.amount) for leg in snapshot.legs), ZERO) * snapshot.mark_price),
            )
        profit = snapshot.unrealized_pnl
        yield "unrealised P&L", "not known" if profit is None else plain(profit)
        yield "leverage", "not known" if snapshot.leverage is None else plain(snapshot.leverage)
        yield "snapshot", f"{duration(age_sec)} old, by {snapshot.verified_by}{trusted}"

    async def _decisions(self, symbol: Symbol, notes: list[str]) -> tuple[ListedDecision, ...]:
        try:
            held = await self._index.follow("p33", _INDEX_READS_SEC)
        except StoreError as error:
            notes.append(f"The audit cannot be read: {error}")
            return ()
        columns = held.columns
        number = columns.names.symbols.number_of(symbol)
        if number is None:
            return ()
        return tuple(listed(columns, await newest_of(columns, number, _DECISIONS_SHOWN)))


def _legs(snapshot: Snapshot) -> Iterator[Row]:
    for leg in snapshot.legs:
        if leg.amount:
            entry = "not known" if leg.entry_price is None else plain(leg.entry_price)
            yield f"position {leg.leg}", f"{plain(leg.amount)}, entry {entry}"
        else:
            yield f"position {leg.leg}", "flat"


def _ledger(read: ReadKeys) -> Iterator[Row]:
    stored = read.hashes[0]
    if stored is None:
        yield "ledger", "cannot be read: no right, or a key of another type"
    elif not stored:
        yield "ledger", "none"
    else:
        for name, value in _in_order(texts_of(stored)):
            yield name, printable(value)


def _in_order(fields: Mapping[str, str]) -> list[tuple[str, str]]:
    first = ("last_known_amt", "long_amt", "short_amt", "version")
    named = [(name, fields[name]) for name in first if name in fields]
    return [*named, *sorted((name, value[:200]) for name, value in fields.items() if name not in first)][:40]


def _restrictions(read: ReadKeys) -> Iterator[Row]:
    hold, reason, owner, cooldown = (
        None if each is None else printable(each.decode(errors="backslashreplace")[:300])
        for each in read.strings
    )
    if hold is None:
        yield "hold", "none"
    else:
        life_ms = read.lives_ms[0]
        ends = "does not end by itself" if life_ms is None else f"ends in {duration(life_ms / 1000)}"
        yield "hold", f"{hold}, {ends}"
        yield "hold of", owner or "not known"
        yield "hold reason", reason or "not given"
    yield "cooldown key", "none" if cooldown is None else _with_moment(cooldown)
    for named, state in zip(("case", "case in shadow"), read.hashes[2:], strict=False):
        yield from _case(named, state)


def _case(named: str, state: Mapping[bytes, bytes] | None) -> Iterator[Row]:
    if not state:
        yield named, "not readable, or none" if state is None else "none"
        return
    case = texts_of(state)
    # Without a status it holds when both agreed, and no case.
    yield named, printable(case.get("status", "none"))
    for name in ("reason", "cause", "diff_amt", "diff_pct", "why", "advice", "last_seen_ts"):
        if case.get(name):
            yield f"{named} {name}", printable(case[name][:300])


def _with_moment(text: str) -> str:
    """Return a text, and the moment that it names as epoch ms."""
    return f"{text}, {iso_utc(int(text))}" if text.isascii() and text.isdecimal() and len(text) < 14 else text


def _permits(symbol: Symbol, read: ReadKeys | None) -> list[PermitRow]:
    stored = {} if read is None else texts_of(read.hashes[1] or {})
    return in_order(
        permit_row(symbol, PlanId(name[2:]), text, read.now_ms)
        for name, text in stored.items()
        if read is not None and name.startswith("p:")
    )
