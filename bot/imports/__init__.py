"""Reads the files people really have and turns them into training rows."""

from bot.imports.plan import Layout, Plan, plan_import
from bot.imports.reading import read_import

__all__ = ["Layout", "Plan", "plan_import", "read_import"]
