"""HTTP server of metrics, status and page."""
