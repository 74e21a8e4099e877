"""Suites that every store, surface and provider must pass."""
