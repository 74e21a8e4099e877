"""Training and serving with torch, which only this package imports."""

from tuner.local.engine import Local

__all__ = ["Local"]
