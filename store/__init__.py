"""Access to Redis: keys, records and the scripts that write atomically. Actors know only `store.protocol`."""
