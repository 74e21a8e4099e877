"""Models of our own: trained and served with torch, which only this package imports."""

from tuner.local.engine import Local

__all__ = ["Local"]
