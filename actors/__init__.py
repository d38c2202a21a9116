"""Actors: a file each, or a folder with `actor.py`. No actor imports another."""
