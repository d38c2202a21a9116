"""Clocks of this host, of Redis and of the exchange, each within known bounds; delays that grow."""
