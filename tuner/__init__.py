"""A small tuning server with OpenAI's protocol that trains and serves models."""
