"""How one variable of the environment is declared, as a field of a dataclass."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from settings.kinds import Kind

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of the environment. `default` is its text, as an operator would write it; empty: none."""

    name: str
    kind: Kind[Any]
    default: str
    meaning: str
    derive: Callable[[Mapping[str, Any]], str] | None = None
    """The default's text where it follows from the variables declared before (by field name)."""
    is_optional: bool = False
    """Without a text the value is None."""


def setting(name: str, kind: Kind[T], default: str, meaning: str) -> T:
    """A field with a fixed default."""
    variable = Variable(name, kind, default, meaning)
    return _field(variable, kind.parse(default))


def derived(name: str, kind: Kind[T], derive: Callable[[Mapping[str, Any]], str], meaning: str) -> T:
    """A field whose default follows from other variables."""
    default = derive({})
    variable = Variable(name, kind, default, meaning, derive)
    return _field(variable, kind.parse(default))


def optional(name: str, kind: Kind[T], meaning: str) -> T | None:
    """A field that has no default."""
    return _field(Variable(name, kind, "", meaning, is_optional=True), None)


def _field(variable: Variable, default: T) -> T:
    # A field passes for its value, as with `dataclasses.field` itself: so the kind is checked against the
    # annotation.
    made: T = field(default=default, metadata={"variable": variable})
    return made
