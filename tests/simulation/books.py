"""Records of the pipeline's actions and permits, which the service cannot see.

The neighbours write them, the invariants read them. What Redis may lose is kept apart, so that it can be put
back to an earlier moment together with Redis.
"""

from __future__ import annotations

import copy
from decimal import Decimal

import msgspec

from simulator.history import PositionSide
from simulator.orders import Order
from tests.simulation.governor_books import GovernorKept
from tests.simulation.intents import Meant
from tests.simulation.venue import ZERO, Leg


class Published(msgspec.Struct):
    """A plan as its publisher meant it.

    `wants`: whether it asks for a permit at all. `unsound`: nothing that may be the case makes it right.
    """

    plan_id: str
    symbol: str
    fields: dict[str, str]
    wants: bool
    expired: bool
    unsound: bool
    entry_ids: list[str]


class Grant(msgspec.Struct):
    """An ALLOW. `left` is what may still be executed for it: contracts."""

    plan_id: str
    symbol: str
    leg: PositionSide
    kind: str
    order_side: str
    quantity: Decimal
    left: Decimal
    reconcile: bool
    taken: bool = False
    over: bool = False


class OwnOrder(msgspec.Struct):
    """An order that the pipeline sent."""

    order_id: str
    symbol: str
    leg: PositionSide
    side: str
    plan_id: str


class Execution(msgspec.Struct):
    """A plan for which the executor consumed the permits. Times are true ms, but for the request's.

    `order`: the one that the exchange took. `sent`: how many requests left. `told`: what was last reported as
    filled. `unknown`: its outcome was unknown. `refused`: it was reported as not executed. `final`: its
    record is final. `lost`: Redis has lost the record.
    """

    plan_id: str
    symbol: str
    client_order_id: str
    timestamp_ms: int
    recv_window_ms: int
    quantity: Decimal
    closes: bool
    reconcile: bool
    begun_ms: int
    order: Order | None = None
    sent: int = 0
    told: Decimal = ZERO
    unknown: bool = False
    refused: bool = False
    final: bool = False
    lost: bool = False


class OrderReport(msgspec.Struct, frozen=True):
    """A result that was published: so much of an order was filled by then."""

    order_id: str
    plan_id: str
    cumulative: Decimal
    final: bool


class Intended(msgspec.Struct, frozen=True):
    """An intent that was published. `published_ms`: by Redis's clock."""

    meant: Meant
    fields: dict[str, str]
    entry_id: str
    published_ms: int


class ChainKept(msgspec.Struct):
    """What the bridge has answered, by stream and entry: the plan's id, or nothing; and which intent has a
    plan. `counted`: by entry of a result that P3.5 has counted, its minute."""

    answered: dict[tuple[str, str], str] = {}
    plans: dict[str, tuple[str, str]] = {}
    counted: dict[str, str] = {}


class Kept(msgspec.Struct):
    """The records that follow from Redis's content, and are rolled back with it.

    `decided`: the plans with a decision, whether allowed. `booked`: by order id, how much of it is in the
    ledger. `ledger`: what each leg's ledger must be; `contained`: how many of the leg's changes were in it as
    it was adopted at `adopted_ms` (true time). `reports`: results by entry id; `settled`: plans whose result
    was taken in. `dead`: entries that are dead letters. `booked_ms`: by symbol, when an order last moved its
    ledger, by Redis's clock. `finals`: how many last results of a plan the executor published.
    `governor`: what the Governor counts. `corrected`: how many of a leg's changes there were when an operator
    last set its ledger. `repaired`: orders of which P3.4 has booked a part. `chain`: what the bridge and P3.5
    have done.
    """

    decided: dict[str, bool] = {}
    booked: dict[str, Decimal] = {}
    ledger: dict[Leg, Decimal] = {}
    contained: dict[Leg, int] = {}
    adopted_ms: dict[Leg, int] = {}
    reports: dict[str, OrderReport] = {}
    settled: set[str] = set()
    dead: set[str] = set()
    booked_ms: dict[str, int] = {}
    finals: dict[str, int] = {}
    governor: GovernorKept = msgspec.field(default_factory=GovernorKept)
    corrected: dict[Leg, int] = {}
    repaired: set[str] = set()
    chain: ChainKept = msgspec.field(default_factory=ChainKept)


class Books:
    """The pipeline's memory."""

    def __init__(self) -> None:
        self.published: dict[str, Published] = {}
        self.plan_of_entry: dict[str, str] = {}
        #: By entry id: when the plan was published, by Redis's clock. Its id may say another time.
        self.published_ms: dict[str, int] = {}
        self.truly_published_ms: dict[str, int] = {}
        #: As `published_ms`, of entries of the manual lane.
        self.manual_ms: dict[str, int] = {}
        #: Entries of the manual lane since the last rest, and their plans.
        self.manual_entries: list[tuple[str, str]] = []
        #: By stream and entry.
        self.intents: dict[tuple[str, str], Intended] = {}
        self.grants: dict[str, Grant] = {}
        self.orders: dict[str, OwnOrder] = {}
        self.ever_allowed: set[str] = set()
        self.bad_results: set[str] = set()
        #: Plans whose decision Redis has lost: nothing there speaks of their orders any more.
        self.lost: set[str] = set()
        #: By plan: when the mark of its decision was evicted, by Redis's clock.
        self.unmarked: dict[str, int] = {}
        #: By symbol: when Redis last evicted its hold, or a person released one without an owner (true ms).
        self.unheld_ms: dict[str, int] = {}
        #: By entry id: the plan that the holder of its permit has given up.
        self.given_up: dict[str, str] = {}
        #: Plans whose executors have said that they do not know what became of their orders.
        self.unknown: set[str] = set()
        #: By entry id: every result of an order that was published, whatever Redis has lost of it since.
        self.published_reports: dict[str, OrderReport] = {}
        #: Orders of which a result was lost before it was read.
        self.unreported: set[str] = set()
        #: By client order id: what the service's own executor has begun.
        self.executions: dict[str, Execution] = {}
        self.kept = Kept()
        self.reasons: dict[str, int] = {}

    def copy_kept(self) -> Kept:
        """Copy the records, to roll back to them."""
        return copy.deepcopy(self.kept)

    def speaks_of(self, order_id: str) -> bool:
        """Return whether the order is ours and Redis still has its grant."""
        order = self.orders.get(order_id)
        return order is not None and order.plan_id not in self.lost

    def has_lost_hold(self, grant: Grant) -> bool:
        """Return whether the executor holds the symbol for this grant, and Redis has evicted that hold."""
        unheld_ms = self.unheld_ms.get(grant.symbol, 0)
        return any(
            execution.plan_id == grant.plan_id and execution.unknown and execution.begun_ms < unheld_ms
            for execution in self.executions.values()
        )

    def live_closes(self, symbol: str, leg: PositionSide) -> list[Grant]:
        """Return the closes of a leg that may still be executed."""
        return [
            grant
            for grant in self.grants.values()
            if grant.symbol == symbol
            and grant.leg == leg
            and grant.kind == "close"
            and not grant.over
            and grant.left > ZERO
        ]
