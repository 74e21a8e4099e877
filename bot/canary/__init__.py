"""Canaries: a new model answers a share of the questions, and people's votes decide about it."""
