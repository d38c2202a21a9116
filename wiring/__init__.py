"""How the parts are put together: what each actor is given, and how the process lives around the tree.

Which actors there are, and what happens when one fails, is in `supervisor.py`.
"""
