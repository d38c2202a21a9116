"""Rules of the reconcile engine (P3.4): drifts between exchange and ledger, their evidence, their repair."""
