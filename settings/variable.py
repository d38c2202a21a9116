"""Declaration of an environment variable as a dataclass field."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from settings.kinds import Kind

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Variable:
    """Environment variable. `default` is its text, as an operator would write it; empty: none."""

    name: str
    kind: Kind[Any]
    default: str
    meaning: str
    derive: Callable[[Mapping[str, Any]], str] | None = None
    """The default's text where it follows from the variables declared before (by field name)."""
    is_optional: bool = False
    """Without a text the value is None."""


def setting(name: str, kind: Kind[T], default: str, meaning: str) -> T:
    """Declare a field with a fixed default."""
    variable = Variable(name, kind, default, meaning)
    return _field(variable, kind.parse(default))


def derived(name: str, kind: Kind[T], derive: Callable[[Mapping[str, Any]], str], meaning: str) -> T:
    """Declare a field whose default follows from other variables."""
    default = derive({})
    variable = Variable(name, kind, default, meaning, derive)
    return _field(variable, kind.parse(default))


def derived_or_none(
    name: str, kind: Kind[T], derive: Callable[[Mapping[str, Any]], str], meaning: str
) -> T | None:
    """Declare a field whose default follows from other variables, where the empty text stands for none."""
    default = derive({})
    variable = Variable(name, kind, default, meaning, derive, is_optional=True)
    return _field(variable, kind.parse(default) if default else None)


def optional(name: str, kind: Kind[T], meaning: str) -> T | None:
    """Declare a field that has no default."""
    return _field(Variable(name, kind, "", meaning, is_optional=True), None)


def _field(variable: Variable, default: T) -> T:
    # Typed as its value, like `dataclasses.field`, so that mypy checks the kind against the annotation.
    made: T = field(default=default, metadata={"variable": variable})
    return made
