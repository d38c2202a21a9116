"""The service as seen from outside: HTTP, metrics, status, page and log."""
