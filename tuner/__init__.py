"""A small OpenAI-protocol tuning server that really trains."""
