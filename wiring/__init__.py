"""The wiring: each actor with its parts, and the process around the tree.

`actors.py` has the tree: every actor with its constructor, its group and the rules for restarting it.
"""
