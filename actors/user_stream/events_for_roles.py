"""Events of the private stream that only roles read: orders of the executor, balances for the Governor."""

from __future__ import annotations

from channels import BalancesObserved, Conflating, DropOldest, OwnOrderObserved
from exchange.balance_events import read_balances
from exchange.protocol import Frame
from exchange.user_data import read_own_order


class EventsForRoles:
    """Sends them to the channels of the roles that are switched on."""

    def __init__(
        self, own_orders: Conflating[OwnOrderObserved] | None, balances: DropOldest[BalancesObserved] | None
    ) -> None:
        """A channel of a role that is off is None."""
        self._own_orders = own_orders
        self._balances = balances

    def any_event(self, frame: Frame) -> None:
        """Send on the state of an own order, if the frame shows one."""
        if self._own_orders is not None and (own := read_own_order(frame)) is not None:
            self._own_orders.send(own)

    def account_update(self, frame: Frame) -> None:
        """Send on the balances of an account update, of which each comes once."""
        if self._balances is not None and (balances := read_balances(frame)) is not None:
            self._balances.send(balances)
