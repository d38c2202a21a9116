"""`trading-state`, `hold`, `release`, `republish`, `acknowledge`: what an operator does by hand.

Each of the first three shows the present state and the change, asks, and writes only where the state is still
the shown one. Exit code 3: Redis did not answer to the write, which may have been done.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping

import settings
from brain.execution.switches import TradingState
from brain.identifiers import EntryId, Symbol
from commands.switches.changes import NotChangedError, Operator, Order, OutcomeUnknownError
from commands.switches.seen_notices import Acknowledgement, mark_seen
from monitoring.acts import letters, switches
from monitoring.acts.events import act_event
from monitoring.acts.wording import state_lines
from store.errors import StoreError
from store.operator_protocol import OperatorStore
from store.operator_records import DeadStream

_EXIT_FAILURE, _EXIT_UNKNOWN = 1, 3


def trading_state(environ: Mapping[str, str], wanted: TradingState | None, order: Order) -> int:
    """Show the trading state, or set it. Exit code 1: nothing was changed. Raises SettingsError."""
    if wanted is None:
        return _ended(environ, _show_trading_state)

    def change(operator: Operator) -> None:
        operator.perform(
            order,
            lambda store: switches.set_trading_state(
                store, wanted, order.reason, operator.sig, operator.keys, _notes(operator)
            ),
        )

    return _ended(environ, change)


def hold(environ: Mapping[str, str], symbol: Symbol, order: Order, *, force: bool) -> int:
    """Hold a symbol until it is released; a hold that no operator has set is replaced only by `force`.

    Exit code 1: nothing was changed. Raises SettingsError.
    """

    def change(operator: Operator) -> None:
        operator.perform(
            order, lambda store: switches.hold(store, symbol, order.reason, operator.sig, force=force)
        )

    return _ended(environ, change)


def release(environ: Mapping[str, str], symbol: Symbol, order: Order, *, force: bool) -> int:
    """Release a symbol; a hold that no operator has set needs `force`.

    Exit code 1: nothing was changed. Raises SettingsError.
    """

    def change(operator: Operator) -> None:
        operator.perform(
            order, lambda store: switches.release(store, symbol, order.reason, operator.sig, force=force)
        )

    return _ended(environ, change)


def republish(environ: Mapping[str, str], stream: DeadStream, letter_id: EntryId, order: Order) -> int:
    """Publish a dead letter's original again. Exit code 1: nothing was published. Raises SettingsError."""

    def change(operator: Operator) -> None:
        ttl_ms = round(operator.settings.decision_ttl_sec * 1000)
        operator.perform(
            order,
            lambda store: letters.republish(
                store, stream, letter_id, order.reason, operator.sig, decision_ttl_ms=ttl_ms
            ),
        )

        async def note(store: OperatorStore) -> None:
            now_ms = (await store.operator_view(None)).now_ms
            arguments = {"stream": stream, "letter": letter_id, "reason": order.reason}
            await store.note_act(
                act_event("republish", arguments, by=operator.sig, outcome="done", address="", now_ms=now_ms)
            )

        try:
            operator.run(note)
        except StoreError as error:
            _complain(f"it is done, but not in p33.events: {error}")

    return _ended(environ, change)


def _show_trading_state(operator: Operator) -> None:
    view = operator.run(lambda store: store.operator_view(None))
    for line in (*state_lines(view.switches, view.disarmed, operator.keys), *_notes(operator)):
        print(line)


def _notes(operator: Operator) -> tuple[str, ...]:
    own = operator.settings
    if own.governor == "off" and own.executing == "off":
        return ("By these settings neither Governor nor executor runs here: other services alone obey it.",)
    return ()


def acknowledge(environ: Mapping[str, str], seen: Acknowledgement) -> int:
    """Mark a notice as seen. Exit code 1: nothing was changed. Raises SettingsError."""
    return _ended(environ, lambda operator: mark_seen(operator, seen))


def _ended(environ: Mapping[str, str], command: Callable[[Operator], None]) -> int:
    own = settings.load(environ).settings
    try:
        command(Operator(own, environ))
    except StoreError as error:
        _complain(f"Redis at {own.redis}: {error}")
        return _EXIT_UNKNOWN if isinstance(error, OutcomeUnknownError) else _EXIT_FAILURE
    except NotChangedError as error:
        _complain(str(error))
        return _EXIT_FAILURE
    return 0


def _complain(text: str) -> None:
    print(f"position-state-brain: {text}", file=sys.stderr)
