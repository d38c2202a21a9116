"""Keys of the demo's Redis."""

from __future__ import annotations

from store.keys import (
    BridgeNames,
    ExecutorKeys,
    GovernorKeys,
    IntelligenceNames,
    Keys,
    ReconcileKeys,
    UniverseNames,
)

KEYS = Keys("quantum")
GOVERNOR = GovernorKeys(KEYS, shadow=False)
EXECUTOR = ExecutorKeys(KEYS)
RECONCILE = ReconcileKeys(KEYS, shadow=False)
INTELLIGENCE = IntelligenceNames(KEYS.prefix)
UNIVERSE = UniverseNames(KEYS.prefix, shadow=False)
BRIDGE = BridgeNames(KEYS.prefix, shadow=False)
EXITS, HARVESTS = BRIDGE.exit_intents.key, BRIDGE.harvest_intents.key
#: Streams of intents, as strategies write them.
LANES = (BRIDGE.trade_intents.key, EXITS, HARVESTS)
