"""A model of one Redis in memory, as much of it as this service and its neighbours use.

For tests and simulation: no sockets, no thread, no clock of its own. Each script of `store/scripts` has its
twin here in a function of the same name, which makes the same checks in the same order.
"""
