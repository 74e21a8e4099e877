"""Test suites that every store, surface and streamed answer must pass."""
