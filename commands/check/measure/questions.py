"""Questions before anything is changed: the account's listen key, and an order."""

from __future__ import annotations

import sys
from collections.abc import Callable

from commands.check.measure.order_plan import OrderPlan
from settings import Settings
from settings.hosts import venue_of

#: Shows a question and returns the line that was typed; "" at the end of the input.
Ask = Callable[[str], str]

_YES = ("y", "yes")


def ask_at_terminal() -> Ask | None:
    """Return a way to ask on standard error; None where standard input is no terminal."""
    return _ask if sys.stdin.isatty() else None


def _ask(question: str) -> str:
    print(question, end=" ", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip()


def exchange_name(settings: Settings) -> str:
    """Return the exchange's name and address."""
    venue = venue_of(settings.binance_rest_url)
    name = (
        venue.name if venue else {"simulator": "the simulator"}.get(settings.snapshot_source, "an exchange")
    )
    return f"{name}, {settings.binance_rest_url}"


def may_delete_key(ask: Ask | None, settings: Settings, *, by_option: bool) -> bool:
    """Return True if the account's listen key may be deleted: asked at a terminal, else `--delete-key`."""
    if ask is None:
        return by_option
    question = (
        f"Delete the account's listen key at {exchange_name(settings)}? It is shared by every process of "
        "this account:\ntheir private streams go silent until they have a new one. [y/N]"
    )
    return ask(question).lower() in _YES


def may_order(ask: Ask, settings: Settings, plan: OrderPlan) -> bool:
    """Return True if the order may be sent; where it costs real money, the symbol has to be typed."""
    where = exchange_name(settings)
    if not costs_money(settings):
        question = f"Send a market order {plan} at {where}, and close it at once? Play money. [y/N]"
        return ask(question).lower() in _YES
    question = (
        f"Send a market order {plan} at {where}, and close it at once? It costs REAL MONEY: twice the fee "
        "and the spread.\nType the symbol to send it, anything else not to:"
    )
    return ask(question) == plan.symbol


def costs_money(settings: Settings) -> bool:
    """Return True if orders there are for real money; an unknown address is taken for one."""
    venue = venue_of(settings.binance_rest_url)
    return venue.real_money if venue else settings.snapshot_source == "binance"
