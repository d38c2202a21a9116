"""Acts of an operator on the page: prepared, asked for, done, audited and logged."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping

from structlog.typing import FilteringBoundLogger

from brain.execution.switches import TradingState
from brain.identifiers import EntryId, Symbol, is_symbol
from clock import Clock
from explanation.printable import printable
from monitoring.acts import letters, notices, switches
from monitoring.acts.act import Act, DoneAlreadyError, RefusedActError, Write, is_unanswered
from monitoring.acts.events import act_event
from monitoring.acts.wording import OPERATOR, state_lines
from monitoring.firing import NoticeKind
from page.act_content import ActDone, Question
from settings import Settings
from store.errors import StoreError, StoreRefusedError
from store.keys import ExecutorKeys, Keys
from store.operator_protocol import OperatorStore
from store.operator_records import DeadStream
from store.operator_values import is_entry_id

_LONGEST_REASON, _LONGEST_SUBJECT = 200, 256
_MOST_HOURS = 168
_CHANGED = "The state is another than shown by now: nothing was changed."
_ABSENT = "It does not fire on this instance at present."
_STREAMS: tuple[DeadStream, ...] = ("apply.plan", "apply.result")
#: By act, the fields of its form that say what is done.
ACTS: Mapping[str, tuple[str, ...]] = {
    "trading-state": ("state", "reason"),
    "hold": ("symbol", "reason", "force"),
    "release": ("symbol", "reason", "force"),
    "republish": ("stream", "letter", "reason"),
    "acknowledge": ("kind", "subject", "hours"),
}
_Prepare = Callable[[OperatorStore, str], Awaitable[Act]]


class UnusableFormError(Exception):
    """A field of a form is missing or cannot be used; the message names it."""


def _nothing_to_do(present: str, *_: str) -> ActDone:
    return ActDone(good=True, text=f"Nothing to do. {present}")


def _sentence(refused: RefusedActError) -> str:
    text = str(refused)
    return f"{text[:1].upper()}{text[1:]}."


class PageActs:
    """The acts of the commands, for a person with a session."""

    def __init__(
        self,
        settings: Settings,
        store: OperatorStore,
        clock: Clock,
        log: FilteringBoundLogger,
        *,
        changed: Callable[[], None],
        fires: Callable[[NoticeKind, str], bool],
    ) -> None:
        """`changed` is called behind each act that may have changed something.

        `fires`: whether a notice of a kind and subject fires on this instance.
        """
        self._changed = changed
        self._fires = fires
        self._store = store
        self._clock = clock
        self._log = log
        self._keys = ExecutorKeys(Keys(settings.key_prefix))
        self._decision_ttl_ms = round(settings.decision_ttl_sec * 1000)

    def note_session(self, event: str, name: str, address: str) -> None:
        """Log a session that was opened, or a token that was wrong."""
        self._log.warning(event, by=f"{OPERATOR}{name}", address=address)

    async def state(self) -> tuple[str, ...]:
        """Return sentences on the trading state."""
        try:
            view = await self._store.operator_view(None)
        except StoreError as error:
            return (f"The trading state could not be read: {printable(str(error))}",)
        return tuple(state_lines(view.switches, view.disarmed, self._keys))

    async def act(self, act: str, form: Mapping[str, str], *, name: str, address: str) -> ActDone | Question:
        """Return the question of an act of `ACTS`; or its outcome, where `form` has the answer (`seen`).

        Raises UnusableFormError.
        """
        prepare = self._read(act, form)
        by = f"{OPERATOR}{name}"
        arguments = {field: form[field] for field in ACTS[act] if form.get(field)}
        try:
            prepared = await prepare(self._store, by)
            if prepared.write is None:
                return _nothing_to_do(*prepared.present)
            seen = hashlib.sha256(prepared.seen.encode()).hexdigest()
            if "seen" not in form:
                fields = (*arguments.items(), ("seen", seen))
                return Question(act, prepared.present, prepared.change, prepared.question, fields)
            done = await self._written(prepared.write) if form["seen"] == seen else None
            if done is None:
                again = await prepare(self._store, by)
                if again.write is None:
                    return _nothing_to_do(*again.present)
                done = ActDone(good=False, text=_CHANGED)
        except RefusedActError as refused:
            if isinstance(refused, DoneAlreadyError) and "seen" in form:
                return _nothing_to_do(_sentence(refused))
            done = ActDone(good=False, text=" ".join((*refused.present, f"Refused: {refused}.")))
        except StoreRefusedError as error:
            done = ActDone(good=False, text=f"Redis refuses it, and nothing was changed: {error}")
        except StoreError as error:
            done = ActDone(good=False, text=f"Redis: {error}. Nothing was changed.")
        return await self._audited(act, arguments, done, by=by, address=address)

    async def _written(self, write: Write) -> ActDone | None:
        """Return the outcome of a write; None where the state is another than the one that was read."""
        try:
            text = await write(self._store)
        except StoreError as error:
            if not is_unanswered(error):
                raise
            text = f"Redis: {error}. It may have been done: look before you repeat it."
            return ActDone(good=False, text=text, unknown=True)
        return None if text is None else ActDone(good=True, text=text)

    def _read(self, act: str, form: Mapping[str, str]) -> _Prepare:
        if act == "acknowledge":
            return self._acknowledge(form)
        reason = form.get("reason", "").strip()
        if not reason or not reason.isprintable() or len(reason) > _LONGEST_REASON:
            raise UnusableFormError(f"reason: 1 to {_LONGEST_REASON} printable characters on one line")
        if act == "trading-state":
            return self._trading_state(form, reason)
        if act == "republish":
            return self._republish(form, reason)
        symbol = form.get("symbol", "").strip().upper()
        if not is_symbol(symbol):
            raise UnusableFormError("symbol: one such as BTCUSDT")
        change, force = switches.hold if act == "hold" else switches.release, form.get("force") == "yes"
        return lambda store, by: change(store, Symbol(symbol), reason, by, force=force)

    def _trading_state(self, form: Mapping[str, str], reason: str) -> _Prepare:
        try:
            wanted = TradingState(form.get("state", "").upper())
        except ValueError:
            raise UnusableFormError("state: active, reducing or halted") from None
        return lambda store, by: switches.set_trading_state(store, wanted, reason, by, self._keys)

    def _republish(self, form: Mapping[str, str], reason: str) -> _Prepare:
        stream = next((each for each in _STREAMS if each == form.get("stream")), None)
        letter = form.get("letter", "").strip()
        if stream is None:
            raise UnusableFormError("stream: apply.plan or apply.result")
        if not is_entry_id(letter):
            raise UnusableFormError("letter: an id such as 1760000000000-0")
        return lambda store, by: letters.republish(
            store, stream, EntryId(letter), reason, by, decision_ttl_ms=self._decision_ttl_ms
        )

    def _acknowledge(self, form: Mapping[str, str]) -> _Prepare:
        kind = next((each for each in NoticeKind if each == form.get("kind")), None)
        if kind is None:
            raise UnusableFormError(f"kind: one of {', '.join(NoticeKind)}")
        subject = form.get("subject", "").strip()
        if not subject.isprintable() or len(subject) > _LONGEST_SUBJECT:
            raise UnusableFormError(f"subject: up to {_LONGEST_SUBJECT} printable characters")
        hours = form.get("hours", "")
        if (
            not hours.isascii()
            or not hours.isdecimal()
            or len(hours) > 3
            or not 1 <= int(hours) <= _MOST_HOURS
        ):
            raise UnusableFormError(f"hours: a whole number from 1 to {_MOST_HOURS}")
        try:
            subject = notices.usable_subject(kind, subject)
        except RefusedActError as refused:
            raise UnusableFormError(f"subject: {refused}") from refused
        present = () if self._fires(kind, subject) else (_ABSENT,)
        for_sec = int(hours) * 3600.0
        return lambda store, by: notices.acknowledge(
            store, kind, subject, by.removeprefix(OPERATOR), for_sec=for_sec, present=present
        )

    async def _audited(
        self, act: str, arguments: Mapping[str, str], done: ActDone, *, by: str, address: str
    ) -> ActDone:
        self._changed()
        outcome = done.text if done.good else f"{'unknown' if done.unknown else 'not done'}: {done.text}"
        self._log.warning(
            "Act on the page", act=act, by=by, address=address, arguments=dict(arguments), outcome=outcome
        )
        now_ms = self._clock.now().wall_ms
        try:
            await self._store.note_act(
                act_event(act, arguments, by=by, outcome=outcome, address=address, now_ms=now_ms)
            )
        except StoreError as error:
            self._log.error("Act on the page is not in p33.events", act=act, by=by, why=str(error))
            text = f"{done.text} It is in the log, not in p33.events: {error}"
            return ActDone(good=done.good, text=text, unknown=done.unknown)
        return done
