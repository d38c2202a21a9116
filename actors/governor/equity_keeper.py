"""Keeps the account's equity: reads it, follows wallet balances between reads, and stores it."""

from __future__ import annotations

import trio
from structlog.typing import FilteringBoundLogger

from actors.governor.positions import AccountPositions
from actors.waiting import RedisTrouble, lease_fence, present
from brain.governor.equity import EquityBook, equity_fields, read_equity
from brain.identifiers import FencingToken
from brain.moment import Moment
from channels import BalancesObserved, DropOldest, LatestValue, Lease
from clocks.clocks import Clocks
from exchange.errors import AskLater, ExchangeError
from exchange.protocol import AccountLookup
from store.errors import FencedError, StoreError
from store.governor_protocol import GovernorStore
from supervision import Heartbeat

#: A balance counts so long after its arrival: by then the positions of the same event are in the book, and no
#: profit counts twice or not at all.
SETTLING_SEC = 0.2
_PAUSE_SEC = 1.0


class EquityKeeper:
    """Tasks of the Governor for its equity. Nothing waits for them: without equity nothing is opened."""

    def __init__(
        self,
        store: GovernorStore,
        exchange: AccountLookup,
        balances: DropOldest[BalancesObserved],
        positions: AccountPositions,
        lease: LatestValue[Lease],
        ban_recalled: LatestValue[bool],
        *,
        every_sec: float,
        clocks: Clocks,
        log: FilteringBoundLogger,
    ) -> None:
        self._store = store
        self._exchange = exchange
        self._balances = balances
        self._positions = positions
        self.book = EquityBook()
        self._lease = lease
        self._ban_recalled = ban_recalled
        self._every_sec = every_sec
        self._clocks = clocks
        self._log = log
        self._trouble = RedisTrouble(f"Redis at {store.address}", log)
        self._logged = ""

    async def read(self, heartbeat: Heartbeat) -> None:
        """Read the account under the lease until cancelled, from what Redis holds of it on.

        It begins when it is known whether the exchange has banned this address.
        """
        await present(self._ban_recalled, f"Redis at {self._store.address}", heartbeat)
        recalled: FencingToken | None = None
        while True:
            fence = await lease_fence(self._lease, heartbeat, self._trouble)
            try:
                if recalled != fence:
                    await self._recall()
                    recalled = fence
                await self._read_once(fence, heartbeat)
                self._failed("")
            except AskLater as error:
                self._failed(str(error))
                with heartbeat.waiting_for(f"the exchange: {error}"):
                    await trio.sleep_until(error.until.monotonic_sec)
                continue
            except (ExchangeError, StoreError) as error:
                if isinstance(error, FencedError):
                    recalled = None
                self._failed(str(error))
                with heartbeat.idle():
                    await trio.sleep(_PAUSE_SEC)
                continue
            with heartbeat.idle():
                await trio.sleep(self._every_sec)

    async def follow(self, heartbeat: Heartbeat) -> None:
        """Apply the balances of the private stream until cancelled."""
        while True:
            with heartbeat.idle():
                observed = await self._balances.receive_all()
            for each in observed:
                await self._settle(each.received, heartbeat)
                for change in each.changes:
                    self.book.wallet_changed(change.asset, change.wallet, change.change, each.reason)

    async def _settle(self, received: Moment, heartbeat: Heartbeat) -> None:
        left_sec = SETTLING_SEC - received.age_sec(self._clocks.now())
        if left_sec > 0:
            with heartbeat.idle():
                await trio.sleep(left_sec)

    async def _recall(self) -> None:
        """Take over what another process has stored since."""
        stored = await self._store.stored_equity()
        state, problem = read_equity(stored)
        if problem:
            self._log.warning("The stored equity cannot be read: its peak begins anew", error=problem)
        self.book = EquityBook(state)

    async def _read_once(self, fence: FencingToken, heartbeat: Heartbeat) -> None:
        transfers = self.book.transfers
        with heartbeat.waiting_for("the account's equity"):
            answer = await self._exchange.account_totals()
        now_ms = self._clocks.redis.now_ms(answer.sent)
        _, unrealised = self._positions.holdings(self._clocks.now())
        totals = answer.totals
        if self.book.read(
            totals.margin_balance, totals.wallets, unrealised=unrealised, at_ms=now_ms, transfers=transfers
        ):
            state = self.book.state
            if state is not None:
                await self._store.write_equity(fence, equity_fields(state))

    def _failed(self, error: str) -> None:
        """Log a new reason why the equity is not read."""
        if error and error != self._logged:
            self._log.warning("The account's equity is not read", error=error)
        self._logged = error
