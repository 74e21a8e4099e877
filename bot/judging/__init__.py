"""Judging: a model compares the answers of two others, in both orders."""
