"""The wiring: each actor with its parts, and the process around the tree.

`supervisor.py` has the list of actors, and the rules for restarting them.
"""
