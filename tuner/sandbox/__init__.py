"""The built-in engine: a small linear scorer that learns to pick from taught replies."""
