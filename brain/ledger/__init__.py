"""Ledgers: amounts, bookings, results, adoption, fills of the private stream."""
