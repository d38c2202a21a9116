"""Keys of the demo's Redis."""

from __future__ import annotations

from store.bridge_names import BridgeNames
from store.intelligence_keys import IntelligenceNames
from store.keys import ExecutorKeys, GovernorKeys, Keys, ReconcileKeys, UniverseNames

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
