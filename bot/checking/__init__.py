"""Checking what an assistant is taught: private text, repetitions, contradictions, and more."""
