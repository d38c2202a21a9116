"""Bodies of the control requests. An unknown field is refused, so that a misspelt control is not ignored."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec

from simulator.external_events import BalanceReason, Cause, Sender
from simulator.history import PositionSide
from simulator.listing import NEVER_MS, SETTLING
from simulator.orders import UnfilledEnd
from simulator.subscription import Face
from simulator.symbols import ContractType


class _Body(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class MovePosition(_Body, frozen=True):
    symbol: str
    delta: Decimal | None = None
    target: Decimal | None = None
    position_side: PositionSide | None = None
    cause: Cause = "trade"
    price: Decimal | None = None
    announced: bool = True
    sender: Sender = "web"
    client_order_id: str | None = None
    parts: int = 1


class Settle(_Body, frozen=True):
    symbol: str
    announced: bool = True


class SetPositionMode(_Body, frozen=True):
    hedge_mode: bool


class Delist(_Body, frozen=True):
    symbol: str
    status: str = SETTLING


class AnnounceEnd(_Body, frozen=True):
    symbol: str
    end_ms: int = NEVER_MS


class SetMarkPrice(_Body, frozen=True):
    symbol: str
    price: Decimal
    hold: bool = False


class SetLeverage(_Body, frozen=True):
    symbol: str
    leverage: Annotated[int, msgspec.Meta(ge=1, le=125)]
    max_notional: Decimal | None = None


class ChangeBalance(_Body, frozen=True):
    amount: Decimal
    reason: BalanceReason = "FUNDING_FEE"
    symbol: str | None = None


class SendFrame(_Body, frozen=True):
    text: str
    event_type: str = ""


class ActOnListenKey(_Body, frozen=True):
    action: Literal["delete", "replace", "expire"]
    silently: bool | None = None


class ShowOddly(_Body, frozen=True):
    where: Literal["positionRisk", "exchangeInfo", "markPrice"]
    symbol: str
    changes: dict[str, Any] | None


class RewindPosition(_Body, frozen=True):
    symbol: str
    amount: Decimal
    update_time_ms: int
    position_side: PositionSide | None = None


class ChangeListing(_Body, frozen=True):
    symbol: str
    step_size: Decimal
    tick_size: Decimal = Decimal("0.01")
    first_price: Decimal = Decimal(100)
    contract_type: ContractType = "PERPETUAL"


class SetPortfolioMargin(_Body, frozen=True):
    portfolio_margin: bool


class Ban(_Body, frozen=True):
    seconds: float


class SetWeight(_Body, frozen=True):
    used: int | None = None
    limit_per_minute: int | None = None
    overrides: dict[str, int] | None = None


class ActOnStreams(_Body, frozen=True):
    action: Literal["freeze", "thaw", "disconnect", "reset", "expire_listen_key"]
    face: Face | None = None


class SetFirstFillShare(_Body, frozen=True):
    share: Decimal | None


class FinishOrder(_Body, frozen=True):
    symbol: str
    order_id: int
    quantity: Decimal | None = None
    end: UnfilledEnd | None = None
    reason: str | None = None


class SetOrderCounts(_Body, frozen=True):
    used_10s: int | None = None
    used_1m: int | None = None
    limit_10s: int | None = None
    limit_1m: int | None = None
