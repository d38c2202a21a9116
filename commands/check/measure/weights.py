"""The request weight of each read: growth of the used-weight header around one request.

No other request of this process is in flight at that time. Requests of others at this address make a growth
larger, never smaller, so that the smaller of two is taken.
"""

from __future__ import annotations

import msgspec

from commands.check.measure.access import ExchangeAccess
from commands.check.measure.rows import (
    Certainty,
    Documents,
    Outcome,
    Row,
    certain,
    compared,
    measured,
    unmeasured,
)
from exchange import endpoints
from exchange.endpoints import Endpoint
from exchange.errors import (
    EndpointGone,
    ExchangeError,
    ExchangeUnavailable,
    RateLimited,
    TemporarilyRefused,
)
from exchange.transport import Answer

_ROUNDS = 3
_TWO_WEIGHTS = Documents(
    Certainty.CONTRADICT, "5 by its page, 10 by the announcement of 2024-09-03; to be removed, no date"
)


class WeightQuestion(msgspec.Struct, frozen=True):
    """A request, and its weight as the documents have it; None where they contradict each other."""

    endpoint: Endpoint
    documented: int | None
    of_symbol: bool = False

    @property
    def asked(self) -> str:
        """The first column of the table."""
        return f"weight of `{self.endpoint.key}`{', one symbol' if self.of_symbol else ''}"

    @property
    def documents(self) -> Documents:
        """The third column."""
        return _TWO_WEIGHTS if self.documented is None else certain(str(self.documented))


QUESTIONS = (
    WeightQuestion(endpoints.SERVER_TIME, 1),
    WeightQuestion(endpoints.EXCHANGE_INFO, 1),
    WeightQuestion(endpoints.POSITION_RISK, None),
    WeightQuestion(endpoints.POSITION_RISK, None, of_symbol=True),
    WeightQuestion(endpoints.POSITION_RISK_V3, 5),
    WeightQuestion(endpoints.SYMBOL_CONFIG, 5),
    WeightQuestion(endpoints.ACCOUNT_CONFIG, 5),
    WeightQuestion(endpoints.POSITION_MODE, 30),
    WeightQuestion(endpoints.DAY_TICKERS, 40),
    WeightQuestion(endpoints.CREATE_LISTEN_KEY, 1),
    WeightQuestion(endpoints.KEEP_LISTEN_KEY, 1),
    WeightQuestion(endpoints.USER_TRADES, 5, of_symbol=True),
)


async def measure_weight(access: ExchangeAccess, question: WeightQuestion, symbol: str) -> Row:
    """Measure one weight. Raises RateLimited alone: every other failure is the row."""
    params = {"symbol": symbol} if question.of_symbol else {}
    try:
        growths = await _growths(access, question.endpoint, params)
    except RateLimited:
        raise
    except EndpointGone as gone:
        outcome = Outcome.MEASURED if question.documented is None else Outcome.DIFFERS
        return Row(question.asked, f"removed: {gone}", question.documents, outcome)
    except ExchangeError as error:
        return unmeasured(question.asked, str(error), question.documents)
    weight = min(growths)
    found = str(weight)
    if max(growths) != weight:
        found = f"{weight} (once {max(growths)}: others at this address sent requests, too)"
    if question.documented is None:
        return measured(question.asked, found, question.documents)
    return compared(question.asked, found, question.documents, agrees=weight == question.documented)


async def _growths(access: ExchangeAccess, endpoint: Endpoint, params: dict[str, str]) -> tuple[int, int]:
    """Return two growths within one minute of the exchange's clock. Raises ExchangeError."""
    failure: ExchangeError = ExchangeUnavailable("the minute changed in each round")
    for _ in range(_ROUNDS):
        try:
            first = await access.send(endpoints.SERVER_TIME)
            second = await access.send(endpoint, params)
            third = await access.send(endpoint, params)
        except (ExchangeUnavailable, TemporarilyRefused) as error:
            failure = error
            await access.pause_after(error)
            continue
        before, between, after = (_used(answer) for answer in (first, second, third))
        same_minute = _minute(access, first, sent=True) == _minute(access, third, sent=False)
        if same_minute and before <= between <= after:
            return between - before, after - between
    raise failure


def _used(answer: Answer) -> int:
    if answer.used_weight is None:
        raise ExchangeUnavailable("the answer has no header X-MBX-USED-WEIGHT-1M")
    return answer.used_weight


def _minute(access: ExchangeAccess, answer: Answer, *, sent: bool) -> int:
    return access.exchange_ms(answer.sent if sent else answer.received) // 60_000
