"""Fake vendors: small HTTP servers on loopback that enforce the vendors' documented rules."""
