"""Check that the cooldown keys and holds of other services can be read."""

from __future__ import annotations

from collections.abc import Iterator

from redis.exceptions import ResponseError

from commands.check.findings import Finding, failed, ok
from commands.clients.redis_reading import RedisReading, text_of
from explanation.wrong_keys import cooldown_problem, hold_problem
from store.stored_values import UNREADABLE, read_text

HELD_SYMBOLS = "cooldowns and holds"
_MOST_NAMED = 3


def held_symbol_findings(redis: RedisReading) -> Iterator[Finding]:
    """Yield each key that denies plans until it is corrected. Raises redis.exceptions.RedisError."""
    cooldowns, holds = map(redis.keys_beginning, (redis.keys.cooldown(""), redis.keys.hold("")))
    kinds = redis.client.pipeline(transaction=False)
    for key in (*cooldowns, *holds):
        kinds.type(key)
    values = redis.client.pipeline(transaction=False)
    for key in cooldowns:
        values.get(key)
    kind_of = dict(zip((*cooldowns, *holds), map(text_of, kinds.execute()), strict=True))
    stored_of = dict(zip(cooldowns, values.execute(raise_on_error=False), strict=True))
    problems = [
        (key, cooldown_problem(text_of(key), kind=kind_of[key], stored=_stored(stored_of[key])))
        for key in cooldowns
    ]
    problems += [(key, hold_problem(text_of(key), kind=kind_of[key])) for key in holds]
    wrong = [(key, problem) for key, problem in problems if problem is not None and kind_of[key] != "none"]
    if not wrong:
        yield ok(HELD_SYMBOLS, f"{len(cooldowns)} cooldown keys and {len(holds)} holds can be read")
        return
    for key, problem in wrong[:_MOST_NAMED]:
        more = f"; and {len(wrong) - 1} more such keys" if len(wrong) > _MOST_NAMED else ""
        yield failed(HELD_SYMBOLS, f"{problem}{more}", f"find out who wrote it; redis-cli DEL {text_of(key)}")


def _stored(value: object) -> str | None:
    """Return a string's text; None where it is no short ASCII text, or no string."""
    text = read_text(None if isinstance(value, ResponseError) else value)
    return None if text == UNREADABLE else text
