"""Errors inside the groups that nurseries raise."""

from __future__ import annotations


def first_error(error: BaseException) -> BaseException:
    """Return the first error in nested groups, or `error` itself where it is no group."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def each_error(error: BaseException) -> list[BaseException]:
    """Return all errors in nested groups, or `error` itself where it is no group."""
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [each for inner in error.exceptions for each in each_error(inner)]
