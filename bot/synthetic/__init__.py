"""Examples that a model writes from others, always as proposals: other wordings, other labels."""
