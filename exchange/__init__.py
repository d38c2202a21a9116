"""Binance USDⓈ-M Futures: REST, the private stream, and the request weight that all callers share."""
