"""Permits, gates of each flavour and a redis-server, for the tests."""
