"""Adapter to model hosts with an OpenAI-compatible API: chat, files and fine-tuning jobs."""
