"""Blind votes: people choose between two answers whose models are not shown."""
