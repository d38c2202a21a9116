"""The page for operators: what it shows as plain records, and how that becomes HTML.

`content` is what may be shown, `rendering` turns it into a document part by part, `assets` are served as they
are. Nothing here depends on the source of the data, and all text counts as hostile: it is escaped on output.
"""
