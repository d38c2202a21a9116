"""The explanation of a plan's answer, for the terminal and for the page.

`traces` holds the stored traces of a plan, `explaining` derives the explanation from them, and `sections`
formats it as sections of text. Pure: the caller reads the traces.
"""
