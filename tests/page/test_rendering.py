from __future__ import annotations

from functools import cache
from html.parser import HTMLParser
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from brain.plans.check_results import Outcome
from explanation.sections import CheckRow, GovernorSection, Sections
from page.content import (
    Actor,
    Ages,
    Holdings,
    HoldsAndCooldowns,
    Overall,
    SymbolReasons,
    TimeLeft,
    UnknownExecution,
)
from page.rendering import ASSETS, CONTENT_SECURITY_POLICY, Page, asset
from page.tone import Tone
from tests.page.contents import (
    HOSTILE,
    INVISIBLE,
    content,
    decided,
    governor,
    hostile_content,
)

VOID = {"meta", "link", "img", "input", "br"}


class Reading(HTMLParser):
    """The elements, attributes and texts of a document, as a browser would take it."""

    def __init__(self, document: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.unbalanced: list[str] = []
        self.feed(document)
        self.close()
        self.unbalanced += self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if self._open and self._open[-1] == tag:
            self._open.pop()
        else:
            self.unbalanced.append(f"/{tag}")

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


#: Its templates are compiled once for all tests.
page = cache(Page)


def read(document: str) -> Reading:
    return Reading(document)


def page_of(**changes: object) -> Reading:
    return read("".join(page().document(content(**changes))))


def shape(reading: Reading) -> set[tuple[str, tuple[str, ...]]]:
    """Return the elements with their attributes."""
    return {(tag, tuple(sorted(attributes))) for tag, attributes in reading.elements}


def test_the_page_is_well_formed_and_has_every_section() -> None:
    reading = page_of()
    assert reading.unbalanced == []
    ids = [attributes["id"] for _, attributes in reading.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {
        "overall", "figures", "gates", "decisions", "holdings", "ages", "stream", "weight", "tree",
        "holds-and-cooldowns", "settings", "queues",
    } <= set(ids)  # fmt: skip


def test_the_page_shows_what_it_was_given() -> None:
    text = page_of().text
    for shown in (
        "Ready",
        "here:8045",
        "180 allowed, 60 denied",
        "sanity_checks_passed",
        "SELL 0.028",
        "1 symbols: oldest 0.40 s",
        "trusted",
        "permit_evaluator",
        "40 of 1200",
        "BINANCE_API_SECRET",
        "they agree",
    ):
        assert shown in text, shown


def test_symbols_that_cannot_be_read_are_named_with_the_reason() -> None:
    reading = page_of(unreadable=SymbolReasons((("ABCUSDT", "position: no updateTime"),), 0))
    assert "! 1 unreadable plans for this symbol are denied ABCUSDT position: no updateTime" in reading.text
    many = page_of(unreadable=SymbolReasons((("ABCUSDT", "position: no updateTime"),), 7))
    assert "! 8 unreadable plans for these symbols are denied" in many.text
    assert "and 7 more" in many.text
    assert "unreadable" not in page_of().text


def test_symbols_that_the_stream_does_not_cover_are_named_with_the_reason() -> None:
    reading = page_of(uncovered=SymbolReasons((("ABCUSDT", "it was not read"),), 0))
    assert (
        "! 1 uncovered the private stream does not cover this symbol ABCUSDT it was not read" in reading.text
    )
    assert "uncovered" not in page_of().text


def test_unknown_executions_are_counted_and_named() -> None:
    rows = tuple(
        UnknownExecution(f"plan-number-{number}", "BTCUSDT", "2026-09-21T13:00:00.000Z", 61.0)
        for number in range(2)
    )
    reading = page_of(unknown_executions=rows)
    assert "! 2 unknown executions the order may have been filled" in reading.text
    assert "BTCUSDT plan plan-num… , since" in reading.text or "BTCUSDT plan plan-num…, since" in reading.text
    assert "unknown execution" not in page_of().text


def test_the_governor_is_shown_with_its_state_and_how_full_its_limits_are() -> None:
    reading = page_of(governor=governor())
    assert reading.unbalanced == []
    text = reading.text
    assert "ACTIVE trading ACTIVE equity 980 USDT" in text
    assert "GOV_MAX_OPEN_POSITIONS all 4 10 40 %" in text
    assert "GOV_MAX_EXEC_PER_HOUR ETHUSDT 3 3 100 %" in text
    assert "RISK_MAX_DRAWDOWN_PCT all – 0.08 –" in text
    full = [attributes["value"] for tag, attributes in reading.elements if tag == "meter"]
    assert full.count("0.4") == full.count("1.0") == 1
    assert "Kill score of BTCUSDT entry: 2 plans, 1 refused" in text
    assert "The latest: " in text and "cut-off 0.70: refused, kill_score_entry" in text


def test_without_the_role_there_is_nothing_of_a_governor_on_the_page() -> None:
    document = "".join(page().document(content()))
    assert "governor" not in document.lower()


def test_hostile_text_makes_no_element_and_no_attribute() -> None:
    """Whatever the texts are, the document has the very elements and attributes that harmless ones give."""
    harmless = hostile_content(tuple(f"harmless{number}" for number in range(len(HOSTILE + INVISIBLE))))
    expected = shape(read("".join(page().document(harmless))))
    reading = read("".join(page().document(hostile_content())))
    assert reading.unbalanced == []
    assert shape(reading) == expected
    for text in HOSTILE:
        assert text in reading.text


def test_nothing_that_cannot_be_seen_is_put_out() -> None:
    document = "".join(page().document(hostile_content()))
    for text in INVISIBLE:
        assert text not in document
    assert all(character.isprintable() or character == "\n" for character in document)
    assert "BTC\\u202eTDSU" in document


@pytest.mark.parametrize("plan_id", [*HOSTILE, "a&plan=b", "../../x", "100%", "a+b c", "#?"])
def test_a_link_leads_to_its_own_plan_whatever_its_name(plan_id: str) -> None:
    reading = page_of(decided=(decided(plan_id),))
    (link,) = [attributes["href"] for _, attributes in reading.elements if "data-explain" in attributes]
    assert link is not None
    parts = urlsplit(link)
    assert (parts.scheme, parts.netloc, parts.path) == ("", "", "/explanation")
    assert parse_qs(parts.query) == {"plan": [plan_id]}


def test_the_page_asks_for_nothing_from_outside_and_runs_nothing_inline() -> None:
    for document in ("".join(page().document(content())), page().unexplained("plan-1")):
        for tag, attributes in read(document).elements:
            assert "style" not in attributes and not any(name.startswith("on") for name in attributes)
            assert tag != "style"
            if tag == "script":
                assert attributes["src"] == "/page/page.js"
            for name in ("src", "href"):
                target = attributes.get(name)
                assert target is None or (target.startswith("/") and not target.startswith("//"))
    for name in ASSETS:
        text = asset(name).decode().replace("http://www.w3.org/2000/svg", "")
        assert "http:" not in text and "https:" not in text and "@import" not in text


def test_the_policy_allows_own_files_and_nothing_else() -> None:
    rules = dict(rule.strip().split(" ", 1) for rule in CONTENT_SECURITY_POLICY.split(";"))
    assert rules.pop("default-src") == "'none'"
    assert rules.pop("require-trusted-types-for") == "'script'"
    assert set(rules.values()) == {"'none'", "'self'"}
    assert "unsafe" not in CONTENT_SECURITY_POLICY


def test_before_anything_is_known_the_page_says_so() -> None:
    reading = page_of(
        overall=Overall(Tone.BAD, "Not ready", ("exchangeInfo was not read yet",)),
        ages=Ages((), 10.0),
        decided=(),
        latencies_ms=(),
        holdings=Holdings((), 0, 0, "1"),
        lease_holder=None,
        lease_held=False,
    )
    for shown in (
        "exchangeInfo was not read yet",
        "There is no snapshot yet.",
        "No plan was decided by this process yet.",
        "Everything is flat.",
        "no decision yet",
    ):
        assert shown in reading.text


def test_holds_cooldowns_and_what_could_not_be_read_are_reported() -> None:
    holds_and_cooldowns = HoldsAndCooldowns(
        holds=(TimeLeft("BTCUSDT", 290.0), TimeLeft("ETHUSDT", None)),
        cooldowns=(TimeLeft("SOLUSDT", 3.2),),
        left_out=0,
        unread=None,
        problems=("quantum:reconcile:hold:ETHUSDT holds a <hash>, not a string",),
    )
    text = page_of(holds_and_cooldowns=holds_and_cooldowns).text
    assert "quantum:reconcile:hold:ETHUSDT holds a <hash>, not a string" in text
    assert "BTCUSDT held 4 min 50 s" in text
    assert "ETHUSDT held never" in text
    assert "SOLUSDT cooldown 3.2 s" in text
    unread = HoldsAndCooldowns(holds=(), cooldowns=(), left_out=0, unread="Redis: no answer")
    assert "Redis: no answer" in page_of(holds_and_cooldowns=unread).text


def test_an_explanation_is_escaped_like_the_page() -> None:
    def document(text: str) -> Reading:
        pair = ((text, text),)
        return read(
            page().explanation(
                Sections(
                    plan_id=text,
                    symbol=text,
                    decided=True,
                    allowed=False,
                    answer="DENY",
                    reason=text,
                    order=text,
                    finding=text,
                    advice=text,
                    notes=(text,),
                    when=pair,
                    published=pair,
                    checks=(CheckRow(text, Outcome.DENIED, "DENIED", text, text),),
                    not_reached=(text,),
                    based_on=pair,
                    permit=pair,
                    governor=GovernorSection(
                        answer="REFUSE",
                        granted=False,
                        reason=text,
                        finding=text,
                        advice=text,
                        notes=(text,),
                        facts=pair,
                        checks=(CheckRow(text, Outcome.DENIED, "DENIED", text, text),),
                        not_reached=(text,),
                    ),
                )
            )
        )

    expected = shape(document("harmless"))
    for text in HOSTILE:
        reading = document(text)
        assert reading.unbalanced == []
        assert shape(reading) == expected
        assert text in reading.text


def test_the_tree_is_shown_with_restarts_and_their_reasons() -> None:
    evaluator = Actor(
        name="permit_evaluator",
        state="backing off",
        tone=Tone.BAD,
        waiting_for=(),
        restarts=2,
        last_reason="KeyError: 'x'",
        since_sec=0.4,
    )
    tree = msgspec.structs.replace(content().tree, restarts=1, children=(evaluator,))
    document = "".join(page().document(content(tree=tree)))
    inner = document.index("permit_evaluator")
    text = read(document).text
    assert "position-state-brain running 12 s · 1 restart permit_evaluator" in text
    assert "permit_evaluator backing off 0.40 s · 2 restarts last failure: KeyError: 'x'" in text
    assert document.count("<ul", document.index('class="tree"'), inner) == 1
