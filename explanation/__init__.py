"""Why a plan was answered as it was, in words: for the terminal, and for the page.

`traces` is what is known of a plan, `explaining` makes of it what is to be told, and `telling` puts that into
sections of text. Pure; where the traces come from is the business of whoever asks.
"""
