"""Client of Binance USDⓈ-M Futures: REST, private and market stream, and the shared request-weight budget."""
