"""Errors inside the groups that nurseries raise."""


def first_error(error: BaseException) -> BaseException:
    """Return the first error in nested groups, or `error` itself where it is no group."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
