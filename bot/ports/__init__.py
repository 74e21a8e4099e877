"""Protocols that the core depends on; storage and adapters implement them."""
