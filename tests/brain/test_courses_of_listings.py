"""Courses of random reads of the listing, beside the contract in other words."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from brain.symbols.publication import NO_READS, Change, Listing, Outcome, Stored, judge, not_published
from brain.symbols.universe import ListedContract, UniverseRules
from brain.symbols.universe_text import list_text
from tests.brain.test_publication import names
from tests.brain.test_universe import DAY_MS, NEVER_MS, NOW_MS, RULES, contract, rules


def contracts_drawn() -> st.SearchStrategy[list[ListedContract]]:
    drawn = st.builds(
        contract,
        st.sampled_from([*names(12), "AUSDC", "BBTC", "CBUSD", "dUSDT"]),
        status=st.sampled_from(["TRADING", "TRADING", "TRADING", "SETTLING"]),
        contract_type=st.sampled_from(["PERPETUAL", "PERPETUAL", "PERPETUAL", "CURRENT_QUARTER"]),
        onboard_date=st.sampled_from([0, NOW_MS - DAY_MS, NOW_MS - 50 * DAY_MS]),
        delivery_date=st.sampled_from([NEVER_MS, NEVER_MS, NOW_MS + DAY_MS // 2, NOW_MS + 2 * DAY_MS]),
    )
    return st.lists(drawn, unique_by=lambda each: each.symbol, max_size=16)


def courses_drawn() -> st.SearchStrategy[list[list[ListedContract] | None]]:
    """Courses of few listings, so that some come again; None for a read that failed."""
    listings = st.lists(contracts_drawn(), min_size=1, max_size=3)
    return listings.flatmap(lambda few: st.lists(st.sampled_from([*few, *few, None]), min_size=1, max_size=9))


@dataclass
class Model:
    """The refresh of the contract in its own words, over sets."""

    good: set[str] | None = None
    row: list[set[str]] = field(default_factory=list)

    def read(
        self, listed: list[ListedContract] | None, volumes: dict[str, Decimal], by: UniverseRules
    ) -> Outcome:
        if listed is None:
            self.row = []
            return Outcome.FETCH_FAILED
        fit = [
            each.symbol
            for each in listed
            if (each.contract_type, each.status) == ("PERPETUAL", "TRADING")
            and each.symbol.isupper()
            and any(each.symbol.endswith(quote) for quote in by.quotes)
            and volumes.get(each.symbol, Decimal(0)) >= by.min_quote_volume
            and (by.min_age_days == 0 or 0 < each.onboard_date <= NOW_MS - by.min_age_days * DAY_MS)
            and each.delivery_date > NOW_MS + by.delist_before_sec * 1000
        ]
        fit.sort(key=lambda symbol: (-volumes.get(symbol, Decimal(0)), symbol))
        new = set(fit[: by.most])
        if not new:
            self.row = []
            return Outcome.VALIDATION_FAILED
        share = 100 - by.max_shrink_pct
        if self.good is not None and len(new) * 100 < len(self.good) * share:
            if self.row and len(self.row[0] & new) * 100 < max(len(self.row[0]), len(new)) * share:
                self.row = []
            self.row.append(new)
            if len(self.row) < 3:
                return Outcome.SHRANK
        self.good, self.row = new, []
        return Outcome.PUBLISHED


@given(
    course=courses_drawn(),
    volumes=st.dictionaries(st.sampled_from(names(12)), st.integers(0, 200).map(Decimal)),
    most=st.integers(1, 10),
    least=st.sampled_from([Decimal(0), Decimal(50)]),
    age=st.sampled_from([0, 30]),
)
def test_any_course_of_listings_publishes_what_the_contract_says(
    course: list[list[ListedContract] | None],
    volumes: dict[str, Decimal],
    most: int,
    least: Decimal,
    age: int,
) -> None:
    by = rules(RULES, most=most, min_quote_volume=least, min_age_days=age)
    model, before, row = Model(), Stored(), NO_READS
    for listed in course:
        if listed is None:
            judgement = not_published(Outcome.FETCH_FAILED, "no answer", before, row)
        else:
            judgement = judge(Listing(tuple(listed), NOW_MS, volumes), before, by, shrunk=row)
        assert judgement.outcome is model.read(listed, volumes, by)
        row = judgement.shrunk
        if judgement.universe is None:
            assert judgement.error
            before = msgspec.structs.replace(before, stale=True, error=judgement.error)
            continue
        assert set(judgement.universe.symbols) == model.good
        assert len(judgement.universe.symbols) <= most
        assert (Change.RECOVERED, "") in judgement.changes or not before.stale
        text = list_text(judgement.universe, by, asof_epoch=1, published_by="me").encode()
        before = Stored(text, closing=b"{}")
