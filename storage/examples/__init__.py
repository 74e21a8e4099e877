"""Examples: what an assistant is taught, with revisions, authors and tags."""

from storage.examples.repository import Examples

__all__ = ["Examples"]
