"""Chat, files and tuning jobs at any host that speaks the OpenAI protocol."""
