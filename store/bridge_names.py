"""Key names of the intent bridge. Import them from `store.keys`."""

from __future__ import annotations

from store.plan_stream import PlanStream


class BridgeNames:
    """Key names of the intent bridge, or of its shadow; docs/contract.md, "Intent bridge"."""

    def __init__(self, prefix: str, *, shadow: bool) -> None:
        self.prefix = prefix
        self.shadow = shadow
        self.base = f"{prefix}:intent_bridge:shadow" if shadow else f"{prefix}:intent_bridge"
        self.plans = f"{prefix}:stream:apply.plan"
        self.audit = f"{self.base}:audit" if shadow else f"{prefix}:stream:intent.audit"
        self.mode = f"{prefix}:system:mode"
        #: HASHes with the equity of the account: the Governor's, and that of another service.
        self.equity = f"{prefix}:governor:equity"
        self.portfolio = f"{prefix}:state:portfolio"
        self.trade_intents = self._lane("trade.intent", f"{prefix}:group:intent_bridge")
        self.exit_intents = self._lane("exit.intent", "exit-intent-gateway")
        self.harvest_intents = self._lane("harvest.intent", "intent_executor_harvest")

    def _lane(self, name: str, group: str) -> PlanStream:
        stream = f"{self.prefix}:stream:{name}"
        return PlanStream(
            stream,
            f"{self.base}:dead" if self.shadow else f"{stream}.dead",
            f"{group}_shadow" if self.shadow else group,
            f"{self.base}:last_id:{name}",
        )

    def seen(self, mark: str) -> str:
        """STRING: mark of an intent that was answered, or of a plan that was made."""
        return f"{self.base}:seen:{mark}"

    def last_close(self, symbol: str) -> str:
        """STRING: time (epoch ms) of the latest plan that reduces the symbol's position."""
        return f"{self.base}:last_close:{symbol}"
