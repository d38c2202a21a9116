"""Keeps the account's equity: reads it, follows wallet balances between reads, and stores it."""

from __future__ import annotations

import trio
from structlog.typing import FilteringBoundLogger

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
        self.book = EquityBook()
        self._lease = lease
        self._ban_recalled = ban_recalled
        self._every_sec = every_sec
        self._clocks = clocks
        self._log = log
        self._applying = False
        #: Arrival of the newest balance that was applied.
        self._applied: Moment | None = None
        self._transferred = trio.Event()
        self._stored_transfers = 0
        self._trouble = RedisTrouble(f"Redis at {store.address}", log)
        self._logged = ""

    @property
    def settling(self) -> bool:
        """True while a balance that has arrived does not count yet."""
        return self._applying or self._balances.depth > 0

    async def read(self, heartbeat: Heartbeat) -> None:
        """Read the account under the lease until cancelled, from what Redis holds of it on.

        It begins when it is known whether the exchange has banned this address. A transfer is stored at once.
        """
        await present(self._ban_recalled, f"Redis at {self._store.address}", heartbeat)
        recalled: FencingToken | None = None
        due_sec, banned = 0.0, ""
        while True:
            fence = await lease_fence(self._lease, heartbeat, self._trouble)
            try:
                if recalled != fence:
                    await self._recall()
                    recalled, due_sec = fence, due_sec if banned else 0.0
                await self._store_transfers(fence)
                if trio.current_time() >= due_sec:
                    taken = await self._read_once(fence, heartbeat)
                    due_sec = trio.current_time() + (self._every_sec if taken else _PAUSE_SEC)
                    banned = ""
                    self._failed("")
            except AskLater as error:
                due_sec, banned = error.until.monotonic_sec, f"the exchange: {error}"
                self._failed(str(error))
            except (ExchangeError, StoreError) as error:
                if isinstance(error, FencedError):
                    recalled = None
                self._failed(str(error))
                with heartbeat.idle():
                    await trio.sleep(_PAUSE_SEC)
                continue
            with heartbeat.waiting_for(banned) if banned else heartbeat.idle():
                with trio.move_on_at(due_sec):
                    await self._transferred.wait()

    async def follow(self, heartbeat: Heartbeat) -> None:
        """Apply the balances of the private stream until cancelled."""
        while True:
            with heartbeat.idle():
                observed = await self._balances.receive_all()
            self._applying = True
            for each in observed:
                await self._settle(each.received, heartbeat)
                for change in each.changes:
                    self.book.wallet_changed(change.asset, change.wallet, change.change, each.reason)
                self._applied = each.received
                if self.book.transfers != self._stored_transfers:
                    self._transferred.set()
            self._applying = False

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
        self._stored_transfers = 0

    async def _store_transfers(self, fence: FencingToken) -> None:
        """Store what transfers have moved, before a read that may fail."""
        self._transferred = trio.Event()
        transfers, state = self.book.transfers, self.book.state
        if transfers != self._stored_transfers and state is not None:
            await self._store.write_equity(fence, equity_fields(state))
        self._stored_transfers = transfers

    async def _read_once(self, fence: FencingToken, heartbeat: Heartbeat) -> bool:
        """Read the account; False where a transfer has overtaken the read."""
        transfers = self.book.transfers
        with heartbeat.waiting_for("the account's equity"):
            answer = await self._exchange.account_totals()
        totals = answer.totals
        taken = self.book.read(
            totals.margin_balance,
            totals.wallets,
            unrealised=totals.unrealized_profit,
            at_ms=self._clocks.redis.now_ms(answer.sent),
            transfers=transfers,
            overtaken=self._applied is not None and self._applied > answer.sent,
        )
        state = self.book.state
        if taken and state is not None:
            await self._store.write_equity(fence, equity_fields(state))
        return taken

    def _failed(self, error: str) -> None:
        """Log a new reason why the equity is not read."""
        if error and error != self._logged:
            self._log.warning("The account's equity is not read", error=error)
        self._logged = error
