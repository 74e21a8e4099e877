"""Examples: what the assistant is taught, with its revisions, authors and tags."""

from storage.examples.repository import Examples

__all__ = ["Examples"]
