"""Clocks of this host, of Redis and of the exchange, each within the bounds that are known."""
