"""Judging: a model compares the answers of two other models, in both orders."""
