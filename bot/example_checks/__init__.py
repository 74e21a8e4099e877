"""Checks of an assistant's examples: private text, duplicates, contradictions and other faults."""
