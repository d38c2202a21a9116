"""In-memory model of one Redis, as far as this service and its neighbours use it.

For tests and simulation: no sockets, no thread, no clock of its own. Each script of `store/scripts` has a
twin here, a function of the same name with the same checks in the same order.
"""
