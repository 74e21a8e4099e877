"""The core: use-cases that depend on no platform, no disk and no vendor."""
