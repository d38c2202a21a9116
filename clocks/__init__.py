"""Clocks of this host, of Redis and of the exchange, each as exactly as it is known."""
