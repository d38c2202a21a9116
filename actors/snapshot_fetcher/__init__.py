"""Actor that keeps the position snapshots of one shard of symbols fresh."""
