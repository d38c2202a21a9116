"""Kinds of variables: a parser each, with a text on the accepted values."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Generic, TypeVar

from settings.error import quoted
from settings.hosts import parse_base_url, parse_host
from settings.private_key import ALLOWED_PEM, is_pem, parse_pem
from settings.redis_address import ALLOWED as ALLOWED_REDIS_URL
from settings.redis_address import RedisAddress, parse_redis_url
from settings.secret import MASK, Secret

T = TypeVar("T")
Word = TypeVar("Word", bound=str)

# No signs, exponents, underscores, infinities or digits of other scripts, all of which Python would accept.
_NUMBER = re.compile(r"[0-9]{1,12}(\.[0-9]{1,12})?")
_SIGNED_NUMBER = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,12})?")
_SHORTEST_TOKEN = 16
_WHOLE_NUMBER = re.compile(r"[0-9]{1,12}")
_TRUE = ("true", "1", "yes", "on")
_EXTRA_PERMIT = re.compile(r"[A-Za-z0-9_.-]{1,32}=[A-Za-z0-9_:-]{1,200}\{plan_id\}[A-Za-z0-9_:-]{0,200}")
_FALSE = ("false", "0", "no", "off")


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """Kind of variable. `parse` raises ValueError, and nothing else, for a text outside `allowed`."""

    allowed: str
    parse: Callable[[str], T]
    show_refused: Callable[[str], str] = quoted
    """How a refused text is printed."""
    is_secret: bool = False
    """Also accepted as the content of the file that `<variable>_FILE` names."""


def seconds(low: float, high: float) -> Kind[float]:
    """Return the kind of a duration in seconds from `low` to `high`, fractions allowed."""
    return Kind(
        f"seconds from {low:.10g} to {high:.10g}", lambda text: float(_between(text, _NUMBER, low, high))
    )


def seconds_above(low: float, high: float) -> Kind[float]:
    """Return the kind of a duration in seconds that is more than `low`, up to `high`."""

    def parse(text: str) -> float:
        duration = _between(text, _NUMBER, low, high)
        if duration == Decimal(str(low)):
            raise ValueError("not above the bound")
        return float(duration)

    return Kind(f"seconds above {low:.10g}, up to {high:.10g}", parse)


def whole_seconds(low: int, high: int) -> Kind[int]:
    """Return the kind of a duration in whole seconds from `low` to `high`, for TTLs in Redis."""
    return Kind(f"whole seconds from {low} to {high}", _whole_between(low, high))


def whole(low: int, high: int) -> Kind[int]:
    """Return the kind of a whole number from `low` to `high`."""
    return Kind(f"a whole number from {low} to {high}", _whole_between(low, high))


def percent(low: int, high: int) -> Kind[Decimal]:
    """Return the kind of an exact percentage from `low` to `high`."""
    return Kind(f"percent from {low} to {high}, such as 1.5", lambda text: _between(text, _NUMBER, low, high))


def amount(low: int, high: int) -> Kind[Decimal]:
    """Return the kind of an exact amount of money from `low` to `high`."""
    return Kind(
        f"an amount from {low} to {high}, such as 2.5", lambda text: _between(text, _NUMBER, low, high)
    )


def fraction() -> Kind[Decimal]:
    """Return the kind of an exact fraction from 0 to 1."""
    return Kind("a fraction from 0 to 1, such as 0.025", lambda text: _between(text, _NUMBER, 0, 1))


def number(low: float, high: float) -> Kind[float]:
    """Return the kind of a number from `low` to `high`, which may be negative."""
    allowed = f"a number from {low:.10g} to {high:.10g}, such as 0.5"
    return Kind(allowed, lambda text: float(_between(text, _SIGNED_NUMBER, low, high)))


def number_or_off(low: float, high: float) -> Kind[float | None]:
    """Return the kind of a number from `low` to `high`, or `off`, which is None."""
    some = number(low, high)
    return Kind(f"off, or {some.allowed}", lambda text: None if text.lower() == "off" else some.parse(text))


def flag() -> Kind[bool]:
    """Return the kind of a truth value."""

    def parse(text: str) -> bool:
        if text.lower() not in _TRUE + _FALSE:
            raise ValueError("not a truth value")
        return text.lower() in _TRUE

    return Kind("true, 1, yes or on, or false, 0, no or off", parse)


def one_of(*choices: Word) -> Kind[Word]:
    """Return the kind of one of a few words, upper or lower case."""
    by_folded = {choice.lower(): choice for choice in choices}

    def parse(text: str) -> Word:
        if text.lower() not in by_folded:
            raise ValueError("not one of the choices")
        return by_folded[text.lower()]

    return Kind(f"{', '.join(choices[:-1])} or {choices[-1]}", parse)


def never(because: str) -> Kind[bool]:
    """Return the kind of a truth value that must be false."""

    def parse(text: str) -> bool:
        if flag().parse(text):
            raise ValueError("true")
        return False

    def show_refused(text: str) -> str:
        return text if text.lower() in _TRUE else quoted(text)

    return Kind(f"false, because {because}", parse, show_refused)


def matching(pattern: str, allowed: str) -> Kind[str]:
    """Return the kind of a text that matches the regular expression as a whole."""

    def parse(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError("does not match")
        return text

    return Kind(allowed, parse)


def host() -> Kind[str]:
    """Return the kind of a host name or an IP address."""
    return Kind("a host name or an IP address, without a port", parse_host)


def base_url(*schemes: str) -> Kind[str]:
    """Return the kind of a base address. A refused one with an `@` may contain a password: it is masked."""
    return Kind(
        f"{schemes[0]}:// or {schemes[1]}://, then host[:port][/path], without user, ? or #",
        lambda text: parse_base_url(text, schemes),
        show_refused=lambda text: MASK if "@" in text or "?" in text else quoted(text),
    )


def origin() -> Kind[str]:
    """Return the kind of a web site's origin with TLS, as browsers write it."""

    def parse(text: str) -> str:
        parsed = parse_base_url(text.lower(), ("https",))
        if parsed.count("/") > 2:
            raise ValueError("a path behind the host")
        return parsed.removesuffix(":443")

    return Kind("https://host[:port], nothing behind it", parse)


def redis_url() -> Kind[RedisAddress]:
    """Return the kind of a Redis address. A refused one is masked whole: it may contain a password."""
    return Kind(ALLOWED_REDIS_URL, parse_redis_url, show_refused=_masked)


def symbols() -> Kind[tuple[str, ...]]:
    """Return the kind of a comma list of symbols: upper-cased, without duplicates, in the order given."""

    def parse(text: str) -> tuple[str, ...]:
        names = [name for part in text.split(",") if (name := part.strip().upper())]
        if not all(len(name) <= 64 and re.fullmatch(r"\w+", name) for name in names):
            raise ValueError("not symbols")
        return tuple(dict.fromkeys(names))

    return Kind("symbols such as BTCUSDT,ETHUSDT", parse)


def some_of(*known: str) -> Kind[tuple[str, ...]]:
    """Return the kind of a comma list of some of the `known` words, or of none: `none`."""

    def parse(text: str) -> tuple[str, ...]:
        given = dict.fromkeys(word for part in text.split(",") if (word := part.strip().lower()))
        if list(given) == ["none"]:
            return ()
        if not given or not given.keys() <= set(known):
            raise ValueError("not of the words")
        return tuple(given)

    return Kind(f"none, or some of {', '.join(known)}, with commas", parse)


def quote_assets(*known: str) -> Kind[tuple[str, ...]]:
    """Return the kind of a comma list of some of the `known` quote assets, at least one."""

    def parse(text: str) -> tuple[str, ...]:
        names = symbols().parse(text)
        if not names or not set(names) <= set(known):
            raise ValueError("not quote assets")
        return names

    return Kind(f"one or more of {', '.join(known)}, with commas", parse)


def names() -> Kind[tuple[str, ...]]:
    """Return the kind of a comma list of names, without duplicates, in the order given."""

    def parse(text: str) -> tuple[str, ...]:
        given = [name for part in text.split(",") if (name := part.strip())]
        if not all(re.fullmatch(r"[\w.:-]{1,64}", name) for name in given):
            raise ValueError("not names")
        return tuple(dict.fromkeys(given))

    return Kind("names such as intent_bridge,apply_layer", parse)


def extra_permits() -> Kind[tuple[str, ...]]:
    """Return the kind of a comma list of permits, each `NAME=key` with `{plan_id}` once in the key."""

    def parse(text: str) -> tuple[str, ...]:
        given = [permit for part in text.split(",") if (permit := part.strip())]
        if not all(_EXTRA_PERMIT.fullmatch(permit) for permit in given):
            raise ValueError("not permits")
        if len({permit.partition("=")[0] for permit in given}) < len(given):
            raise ValueError("a name twice")
        return tuple(given)

    return Kind("permits such as P26=quantum:permit:p26:{plan_id}, with commas", parse)


def credential() -> Kind[Secret]:
    """Return the kind of an API key as Binance issues it, safe in an HTTP header."""
    return _secret(
        "1 to 512 printable ASCII characters without spaces", lambda text: text.isascii() and " " not in text
    )


def api_secret() -> Kind[Secret]:
    """Return the kind of an API secret: a text as Binance issues it, or a private key in PEM."""
    issued = credential()

    def parse(text: str) -> Secret:
        return Secret(parse_pem(text)) if is_pem(text) else issued.parse(text)

    return Kind(f"{issued.allowed}, or {ALLOWED_PEM}", parse, show_refused=_masked, is_secret=True)


def password() -> Kind[Secret]:
    """Return the kind of a password."""
    return _secret("1 to 512 printable characters", str.isprintable)


def token() -> Kind[Secret]:
    """Return the kind of a secret that a person types, long enough not to be guessed."""
    return _secret(
        "16 to 512 printable ASCII characters, no spaces",
        lambda text: len(text) >= _SHORTEST_TOKEN and all("!" <= each <= "~" for each in text),
    )


def password_but(public: str) -> Kind[Secret]:
    """Return the kind of a password other than `public`, which anybody can know."""
    return _secret(
        "1 to 512 printable characters, and not the one of the predecessor's source",
        lambda text: text.isprintable() and text != public,
    )


def _secret(allowed: str, accepts: Callable[[str], bool]) -> Kind[Secret]:
    def parse(text: str) -> Secret:
        if not (1 <= len(text) <= 512 and accepts(text)):
            raise ValueError("not a secret of this kind")
        return Secret(text)

    return Kind(allowed, parse, show_refused=_masked, is_secret=True)


def _masked(_text: str) -> str:
    return MASK


def _whole_between(low: int, high: int) -> Callable[[str], int]:
    return lambda text: int(_between(text, _WHOLE_NUMBER, low, high))


def _between(text: str, pattern: re.Pattern[str], low: float, high: float) -> Decimal:
    if not pattern.fullmatch(text):
        raise ValueError("not a number")
    number = Decimal(text)
    # The float 0.1 is a little above 0.1, so an exact comparison refuses the bound itself.
    if not Decimal(str(low)) <= number <= Decimal(str(high)):
        raise ValueError("out of range")
    return number
