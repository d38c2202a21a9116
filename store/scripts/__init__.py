"""The Lua scripts: what changes together, in one step. Each names its arguments in its first lines."""
