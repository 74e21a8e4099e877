"""Evaluation: several models answer the same questions, and their answers are compared."""
