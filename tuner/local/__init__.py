"""Training and serving with torch; no other package imports torch."""

from tuner.local.engine import LocalEngine

__all__ = ["LocalEngine"]
