"""Sentences about Attune that can be false."""
