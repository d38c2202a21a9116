"""Intents: their reading, sizing and the plans that are made of them."""
