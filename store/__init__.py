"""Redis: what is kept, and the scripts that change it atomically. Actors know only `store.protocol`."""
