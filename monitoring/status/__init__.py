"""The /status document and readiness."""
