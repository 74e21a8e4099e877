"""Tuning jobs: estimate, confirmation, polling until the end, and notices."""
