"""Finds the page of what a text names: a symbol, a plan, an order or an intent."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from brain.identifiers import is_symbol
from explanation.entry_texts import orders_of
from explanation.printable import printable
from monitoring.find.audit_index import AuditIndex
from monitoring.find.known_symbols import KnownSymbols
from monitoring.find.stream_search import StreamSearch
from monitoring.pacing import pause
from page.find_content import Candidate, Candidates
from page.links import plan_link, symbol_link
from store.desk_protocol import DeskStore
from store.errors import StoreError
from store.keys import BridgeNames, ExecutorKeys, Keys

_ENTRY_ID = re.compile(r"[0-9]{1,15}-[0-9]{1,15}")
#: What surrounds an id that is copied from a log line, a table or JSON.
_SURROUNDINGS = " \t\r\n'\"`,;"
_INDEX_READS_SEC = 3.0
_LEAST_BEGINNING, _MOST_FOUND = 6, 20
_AT_A_TIME = 2_000
#: Fields of an entry that have an id, and of what.
_IDS = {
    "plan_id": "plan",
    "order_id": "order",
    "client_order_id": "order",
    "intent_id": "intent",
    "entry_id": "entry",
}


class Finding:
    """Answers `/find`."""

    def __init__(
        self, store: DeskStore, keys: Keys, index: AuditIndex, search: StreamSearch, symbols: KnownSymbols
    ) -> None:
        self._store = store
        self._keys = keys
        self._index = index
        self._search = search
        self._symbols = symbols

    async def find(self, pasted: str) -> str | Candidates:
        """Return the address of what a text names, or what it may name.

        White space and quotes around it, and line breaks that a terminal has put into it, do not count.
        """
        text = pasted.strip(_SURROUNDINGS)
        notes: list[str] = []
        found: dict[str, Candidate] = {}
        for each in filter(None, dict.fromkeys((text, "".join(text.split())))):
            try:
                exact = await self._exact(each)
                if exact is not None:
                    return exact
                symbols = await self._symbols.beginning(each) if len(each) > 1 else []
                if symbols:
                    candidates = [
                        Candidate("symbol", name, symbol_link(name)) for name in symbols[:_MOST_FOUND]
                    ]
                    candidates += _plans(await self._held(each))
                    notes.append("Symbols begin so: the streams were not searched for orders and intents.")
                else:
                    candidates = await self._named(each, notes) or await self._beginning(each, notes)
                for candidate in candidates:
                    found.setdefault(candidate.link, candidate)
            except StoreError as error:
                notes.append(f"Redis cannot be read: {error}")
        if len(found) == 1:
            return next(iter(found))
        if not found and len(text) < _LEAST_BEGINNING:
            notes.append("Of orders and intents, and of beginnings of plans, six characters are needed.")
        shown = tuple(found.values())[:_MOST_FOUND]
        return Candidates(text=printable(text), found=shown, notes=tuple(dict.fromkeys(notes)))

    async def _exact(self, text: str) -> str | None:
        """Return the address of a symbol, or of a plan that has a key in Redis."""
        name = text.upper()
        if self._symbols.now(name):
            return symbol_link(name)
        executor = ExecutorKeys(self._keys)
        read = await self._store.read_keys(
            [self._keys.plan_mark(text), self._keys.permit(text), executor.plan_of(text)],
            [executor.order(text)],
        )
        mark, permit, plan_of = read.strings
        if mark is not None or permit is not None or read.hashes[0]:
            return plan_link(text)
        if is_symbol(name) and await self._symbols.stored(name):
            return symbol_link(name)
        return None if plan_of is None else plan_link(plan_of.decode(errors="backslashreplace"))

    async def _named(self, text: str, notes: list[str]) -> list[Candidate]:
        """Return the plan of that id; else the symbol; else each plan of an entry, an order or an intent."""
        answered: dict[str, str] = {}
        for role in self._index.roles:
            held, place = await self._index.decision_on(role, text, _INDEX_READS_SEC)
            if place is not None:
                return [*_plans([text])]
            if not held.complete:
                notes.append(f"The audit of {role} is still being read: ask again for what is older.")
            columns = held.columns
            place = await columns.place_of_entry(text) if _ENTRY_ID.fullmatch(text) else None
            if place is not None:
                answered[columns.plan_id[place]] = f"by an entry that {role} has answered"
        if is_symbol(text.upper()) and self._symbols.decided(text.upper()):
            return [Candidate("symbol", text.upper(), symbol_link(text.upper()))]
        if _ENTRY_ID.fullmatch(text):
            answered |= await self._of_entry(text)
        return [*_plans(answered or await self._of_order_or_intent(text, notes))]

    async def _of_entry(self, entry_id: str) -> dict[str, str]:
        found: dict[str, str] = {}
        for stream in (self._keys.plans, self._keys.results):
            entry = await self._search.entry(stream, entry_id)
            plan_id = ((entry.fields if entry else None) or {}).get(b"plan_id", b"")
            if plan_id:
                found[plan_id.decode(errors="backslashreplace")] = f"by an entry of {stream}"
        return found

    async def _of_order_or_intent(self, text: str, notes: list[str]) -> dict[str, str]:
        """Return the plans of an order by an id of it, and of an intent, and one that is not decided.

        The exchange's order ids are those of one symbol: another may have the same.
        """
        found: dict[str, str] = {}
        if len(text) < _LEAST_BEGINNING:
            return found
        executor = ExecutorKeys(self._keys)
        bridge = BridgeNames(self._keys.prefix, shadow=False)
        for stream in (self._keys.results, executor.audit, bridge.audit, self._keys.plans):
            searched = await self._search.back(stream, text, lambda fields: bool(_named_by(fields, text)))
            notes += [searched.note] if searched.note else []
            for each in reversed(searched.entries):
                symbol = each.fields.get("symbol", "")
                hint = f"{printable(symbol[:32])} {_named_by(each.fields, text)} in {stream}".strip()
                found.setdefault(each.fields["plan_id"], hint)
        return found

    async def _beginning(self, text: str, notes: list[str]) -> list[Candidate]:
        """Return plans that begin so, by six characters at least."""
        if len(text) < _LEAST_BEGINNING:
            return []
        plans = await self._held(text)
        undecided = await self._search.back(
            self._keys.plans, text, lambda fields: fields.get("plan_id", "").startswith(text), most=5
        )
        notes += [undecided.note] if undecided.note else []
        plans.update((each.fields["plan_id"], "") for each in reversed(undecided.entries))
        return [*_plans(plans)]

    async def _held(self, text: str) -> dict[str, str]:
        """Return the plans that begin so among the decisions that are held, the newest first."""
        plans: dict[str, str] = {}
        if len(text) < _LEAST_BEGINNING:
            return plans
        for role in self._index.roles:
            columns = self._index.held[role].columns
            for place in range(len(columns) - 1, -1, -1):
                if columns.plan_id[place].startswith(text):
                    plans[columns.plan_id[place]] = ""
                    if len(plans) == _MOST_FOUND:
                        break
                if place % _AT_A_TIME == 0:
                    await pause()
        return plans


def _named_by(fields: Mapping[str, str], text: str) -> str:
    """Return what of an entry with a plan has that id; empty for nothing."""
    if not fields.get("plan_id"):
        return ""
    for name, what in _IDS.items():
        if fields.get(name) == text:
            return what
    if f'"intent_id":"{text}"' in fields.get("record", ""):
        return "intent"
    return "order" if text in orders_of(fields) else ""


def _plans(plan_ids: Mapping[str, str] | Sequence[str]) -> Iterator[Candidate]:
    hints = plan_ids if isinstance(plan_ids, Mapping) else {}
    for plan_id in plan_ids:
        yield Candidate("plan", printable(plan_id), plan_link(plan_id), hints.get(plan_id, ""))
