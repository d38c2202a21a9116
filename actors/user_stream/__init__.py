"""Follows the account's private stream."""
