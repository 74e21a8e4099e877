"""The core: what Attune does, knowing no platform, no disk and no vendor."""
