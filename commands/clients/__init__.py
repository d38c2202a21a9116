"""Connections of the commands to the daemon and to Redis."""
