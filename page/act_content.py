"""The page on which an operator acts, as plain records."""

from __future__ import annotations

import msgspec


class ActDone(msgspec.Struct, frozen=True):
    """The outcome of an act, as a sentence; `good` where it was done, `unknown` where it may have been."""

    good: bool
    text: str
    unknown: bool = False


class Question(msgspec.Struct, frozen=True):
    """An act that waits for consent: `fields` are sent again with it."""

    act: str
    present: tuple[str, ...]
    change: tuple[str, ...]
    text: str
    fields: tuple[tuple[str, str], ...]


class Forms(msgspec.Struct, frozen=True):
    """Forms on a page that is rendered once for all sessions.

    `csrf` and `outcome` are places that each person's own is put into. `back`: the page's address. Another
    number of `acts` is another rendering: a page never shows the state before the act that led to it.
    """

    csrf: str
    outcome: str
    back: str
    acts: int


class ActContent(msgspec.Struct, frozen=True, kw_only=True):
    """The page: without `name` there is no session, without `enabled` none can be opened.

    `state`: sentences on the trading state. `question` takes the place of the forms.
    """

    enabled: bool
    name: str = ""
    csrf: str = ""
    state: tuple[str, ...] = ()
    #: Kinds of notices.
    kinds: tuple[str, ...] = ()
    done: ActDone | None = None
    #: Where the person comes from, and goes after the act.
    back: str = "/act"
    question: Question | None = None
