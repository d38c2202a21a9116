"""Keeps the position snapshots of one shard of symbols fresh."""
