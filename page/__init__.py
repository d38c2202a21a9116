"""The page for operators: what it shows as plain records, and how that becomes HTML.

`content` is what may be shown, `rendering` turns it into a document part by part, `assets` are served as they
are. Nothing here knows where anything comes from, and all text counts as hostile: it is escaped where it is
put out.
"""
