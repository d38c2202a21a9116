"""Content for the page: all is well, and everything from outside is as hostile as it gets."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeVar

import msgspec

from page.content import (
    Actor,
    Ages,
    Decided,
    GateHistory,
    GateStep,
    Governor,
    Holding,
    Holdings,
    HoldsAndCooldowns,
    KillHistory,
    KillPoint,
    Limit,
    Overall,
    PageContent,
    Queue,
    Setting,
    Stream,
    SymbolAge,
    SymbolReasons,
    TimeLeft,
    UnknownExecution,
    Weight,
)
from page.intents import AnsweredIntent, Intents
from page.result_windows import ResultCounts, ResultWindows, Stop
from page.tone import Tone
from tests.page.case_contents import hostile_reconcile

#: What would act in a browser if it were put out as it is: as an element, out of an attribute, as a template.
HOSTILE = (
    "<img/src=x/onerror=boom()>",
    "<script>boom()</script>",
    '"/onmouseover="boom()"/x="',
    "'/autofocus/onfocus='boom()",
    "</title></style></script><svg/onload=boom()>",
    "javascript:boom()",
    "{{ 7 * 7 }}{% boom %}",
    "&lt;img src=x onerror=boom()&gt;",
    "--><iframe src=//evil.example>",
)
#: What would turn or hide what follows.
INVISIBLE = ("BTC\u202eTDSU", "ETH\u200bUSDT", "SOL\x1b[2JUSDT", "XRP\u2066USDT\u2069", "ADA\x00USDT")

T = TypeVar("T")

NOW_MS = 1_790_000_000_000


def result_windows(**changes: Any) -> ResultWindows:
    """Return decision intelligence with two windows."""
    usual = ResultWindows(
        state="4 in 5 min",
        tone=Tone.GOOD,
        doing="counts the results of all executors, 4 since the start",
        windows=(
            ResultCounts(window="1m", decisions={}),
            ResultCounts(window="5m", decisions={"EXECUTE": 3, "BLOCKED": 1}),
        ),
        stops=(Stop("p33", "p33_permit_denied:no_position", 1),),
        unknown=(("HOLD", 2),),
    )
    return msgspec.structs.replace(usual, **changes)


def made(making: Generator[None, None, T]) -> T:
    """Run a generator to its end, and return its result."""
    while True:
        try:
            next(making)
        except StopIteration as end:
            result: T = end.value
            return result


def _actor(name: str, *children: Actor, **changes: Any) -> Actor:
    usual = Actor(
        name=name,
        state="running",
        tone=Tone.GOOD,
        waiting_for=(),
        restarts=0,
        last_reason=None,
        since_sec=12.0,
        children=children,
    )
    return msgspec.structs.replace(usual, **changes)


def decided(plan_id: str, **changes: Any) -> Decided:
    """Return a decision as a row."""
    usual = Decided(
        plan_id=plan_id,
        symbol="BTCUSDT",
        allow=True,
        reason="sanity_checks_passed",
        kind="close",
        order="SELL 0.028",
        decided_ms=NOW_MS,
        latency_ms=4,
    )
    return msgspec.structs.replace(usual, **changes)


def kill_point(seconds_ago: float, **changes: Any) -> KillPoint:
    """Return a granted entry."""
    usual = KillPoint(NOW_MS - round(seconds_ago * 1000), 0.3, 0.4, 0.7, True, "governor_granted")
    return msgspec.structs.replace(usual, **changes)


def governor(**changes: Any) -> Governor:
    """Return a Governor that trades, with one history."""
    usual = Governor(
        state="ACTIVE",
        tone=Tone.GOOD,
        doing="trading ACTIVE",
        figures=(("equity", "980 USDT"),),
        limits=(
            Limit("GOV_MAX_OPEN_POSITIONS", None, "4", "10", 0.4),
            Limit("GOV_MAX_EXEC_PER_HOUR", "ETHUSDT", "3", "3", 1.0),
            Limit("RISK_MAX_DRAWDOWN_PCT", None, None, "0.08", None),
        ),
        kill_scores=(
            KillHistory(
                "BTCUSDT",
                "entry",
                (
                    kill_point(20),
                    kill_point(10, kill_score=0.9, z=3.1, granted=False, reason="kill_score_entry"),
                ),
            ),
        ),
    )
    return msgspec.structs.replace(usual, **changes)


def content(**changes: Any) -> PageContent:
    """Return a service that decides, with one symbol."""
    step = GateStep({"sanity_checks_passed": 3}, {"no_position": 1})
    usual = PageContent(
        as_of_ms=NOW_MS,
        build_tag="position-state-brain-1",
        instance="here:8045",
        started_at="2026-09-21T13:00:00.000Z",
        uptime_sec=4400.0,
        overall=Overall(Tone.GOOD, "Ready", ()),
        tree=_actor("position-state-brain", _actor("decisions", _actor("permit_evaluator"))),
        ages=Ages((SymbolAge("BTCUSDT", 0.4, True, "0.038"),), 10.0),
        unreadable=SymbolReasons((), 0),
        uncovered=SymbolReasons((), 0),
        stream=Stream(
            trusted=True,
            proven_age_sec=0.4,
            push_allowance_sec=0.25,
            connected_since="2026-09-21T13:00:00.000Z",
            periods=1,
            losses=0,
            last_loss=None,
            last_lost_at=None,
        ),
        gates=(
            GateHistory("last 5 minutes", "5 min", 5, (step,) * 60),
            GateHistory("last hour", "1 h", 60, (step,)),
        ),
        decided=(decided("plan-1"),),
        latencies_ms=(3, 4, 5),
        holdings=Holdings(
            (
                Holding(
                    symbol="BTCUSDT",
                    exchange="0.038",
                    ledger="0.038",
                    difference=None,
                    apart_sec=None,
                    tone=Tone.GOOD,
                ),
            ),
            0,
            0,
            "1",
        ),
        holds_and_cooldowns=HoldsAndCooldowns(holds=(), cooldowns=(), left_out=0, unread=None),
        weight=Weight(own_used=40, own_budget=1200, address_used=45, address_limit=2400, ban_left_sec=None),
        lease_holder="here:8045",
        lease_held=True,
        allowlist="566 symbols from universe_active, 5 s old",
        queues=(Queue("metrics", 0, 0), Queue("changes", 0, None)),
        settings=(
            Setting("BINANCE_API_SECRET", "***", "env"),
            Setting("P33_COOLDOWN_SEC", "15.0", "default"),
        ),
    )
    return msgspec.structs.replace(usual, **changes)


def answered(**changes: Any) -> AnsweredIntent:
    """Return an intent that became a plan."""
    usual = AnsweredIntent(
        at_ms=NOW_MS,
        stream="trade.intent",
        symbol="BTCUSDT",
        outcome="plan",
        tone=Tone.GOOD,
        order="BUY 0.5 ENTRY_PROPOSED",
        plan_id="plan-1",
        lag_ms=4,
    )
    return msgspec.structs.replace(usual, **changes)


def intents(**changes: Any) -> Intents:
    """Return an intent bridge that has answered two intents."""
    refused = answered(outcome="anti_churn", tone=Tone.WATCH, order="ENTRY", plan_id="", lag_ms=None)
    usual = Intents(
        state="on",
        tone=Tone.GOOD,
        doing="reads trade.intent: 1 plans, 1 intents refused since the start",
        outcomes=(("anti_churn", 1), ("plan", 1)),
        recent=(refused, answered()),
    )
    return msgspec.structs.replace(usual, **changes)


def hostile_content(texts: tuple[str, ...] = HOSTILE + INVISIBLE) -> PageContent:
    """Wherever text from outside can get to on the page, each of these texts is there."""
    usual = content()
    return msgspec.structs.replace(
        usual,
        instance=texts[0],
        overall=Overall(Tone.BAD, "Not ready", texts),
        tree=_actor(
            texts[1],
            *(
                _actor(text, state="waiting", waiting_for=(text,), restarts=1, last_reason=text)
                for text in texts
            ),
        ),
        ages=Ages(tuple(SymbolAge(text, 12.0, True, None) for text in texts), 10.0),
        unreadable=SymbolReasons(tuple((text, text) for text in texts), 1),
        uncovered=SymbolReasons(tuple((text, text) for text in texts), 1),
        stream=msgspec.structs.replace(
            usual.stream, trusted=False, last_loss=texts[0], last_lost_at="2026-09-21T13:00:00.000Z"
        ),
        gates=(GateHistory("last 5 minutes", "5 min", 5, (GateStep({}, dict.fromkeys(texts, 2)),)),),
        decided=tuple(decided(text, symbol=text, reason=text, order=text) for text in texts),
        holdings=Holdings(
            tuple(
                Holding(
                    symbol=text, exchange=text, ledger=text, difference=text, apart_sec=9.0, tone=Tone.BAD
                )
                for text in texts
            ),
            len(texts),
            0,
            "1",
        ),
        holds_and_cooldowns=HoldsAndCooldowns(
            holds=tuple(TimeLeft(text, None) for text in texts),
            cooldowns=tuple(TimeLeft(text, 3.0) for text in texts),
            left_out=0,
            unread=texts[0],
        ),
        lease_holder=texts[0],
        lease_held=False,
        allowlist=texts[0],
        queues=tuple(Queue(text, 0, 0) for text in texts),
        settings=tuple(Setting(text, text, text) for text in texts),
        unknown_executions=tuple(
            UnknownExecution(text, text, "2026-09-21T13:00:00.000Z", 61.0) for text in texts
        ),
        reconcile=hostile_reconcile(texts),
        intelligence=result_windows(
            state=texts[0],
            doing=texts[0],
            windows=tuple(ResultCounts(window=text, decisions={text: 3}) for text in texts),
            stops=tuple(Stop(text, text, 3) for text in texts),
            unknown=tuple((text, 3) for text in texts),
        ),
        intents=intents(
            doing=texts[0],
            outcomes=tuple((text, 2) for text in texts),
            recent=tuple(
                answered(symbol=text, stream=text, outcome=text, order=text, plan_id=text) for text in texts
            ),
        ),
        governor=governor(
            doing=texts[0],
            figures=tuple((text, text) for text in texts),
            limits=tuple(Limit(text, text, text, text, 0.5) for text in texts),
            kill_scores=tuple(
                KillHistory(text, text, (kill_point(3, granted=False, reason=text),)) for text in texts
            ),
        ),
    )
