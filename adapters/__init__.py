"""Adapters that translate between vendors' formats and the core, one per platform or host."""
