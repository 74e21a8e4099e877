"""Blind votes: people choose between two answers without knowing which model wrote which."""
