"""Questions before anything is changed: the account's listen key, and an order."""

from __future__ import annotations

from commands.check.measure.order_plan import OrderPlan
from commands.console.questions import Ask, is_yes
from settings import Settings
from settings.hosts import venue_of


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
    return is_yes(ask(question))


def may_order(ask: Ask, settings: Settings, plan: OrderPlan) -> bool:
    """Return True if the order may be sent; where it costs real money, the symbol has to be typed."""
    where = exchange_name(settings)
    if not costs_money(settings):
        question = f"Send a market order {plan} at {where}, and close it at once? Play money. [y/N]"
        return is_yes(ask(question))
    question = (
        f"Send a market order {plan} at {where}, and close it at once? It costs REAL MONEY: twice the fee "
        "and the spread.\nType the symbol to send it, anything else not to:"
    )
    return ask(question) == plan.symbol


def costs_money(settings: Settings) -> bool:
    """Return True if orders there are for real money; an unknown address is taken for one."""
    venue = venue_of(settings.binance_rest_url)
    return venue.real_money if venue else settings.snapshot_source == "binance"
