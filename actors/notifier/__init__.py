"""Sends notices of what fires to the addresses of P33_NOTICE_URL."""
