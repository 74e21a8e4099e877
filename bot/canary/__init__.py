"""Canaries: a model answers a share of the questions, and what people say of it decides."""
