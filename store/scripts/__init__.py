"""Lua scripts, one for each atomic change. The first lines of each name arguments, order and reply."""
