"""Tuning: estimate, confirm, watch to the end, and say how it goes."""
