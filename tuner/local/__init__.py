"""Training and serving with torch; no other package imports torch."""

from tuner.local.engine import Local

__all__ = ["Local"]
