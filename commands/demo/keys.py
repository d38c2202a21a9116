"""Keys of the demo's Redis."""

from __future__ import annotations

from store.keys import ExecutorKeys, GovernorKeys, Keys, ReconcileKeys, UniverseNames

KEYS = Keys("quantum")
GOVERNOR = GovernorKeys(KEYS, shadow=False)
EXECUTOR = ExecutorKeys(KEYS)
RECONCILE = ReconcileKeys(KEYS, shadow=False)
UNIVERSE = UniverseNames(KEYS.prefix, shadow=False)
EXITS = f"{KEYS.prefix}:stream:exit.intent"
HARVESTS = f"{KEYS.prefix}:stream:harvest.intent"
INTENT_AUDIT = f"{KEYS.prefix}:stream:intent.audit"
#: Streams of intents, as strategies write them.
LANES = (KEYS.intents, EXITS, HARVESTS)
