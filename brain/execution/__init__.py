"""Orders of the executor: identity, record, answers of the exchange, and quantities."""
