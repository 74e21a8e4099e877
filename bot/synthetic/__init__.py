"""Synthetic examples: a model proposes other wordings or labels of existing examples."""
