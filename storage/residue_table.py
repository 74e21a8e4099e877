"""The table of what erasing left to be removed from the file; part of `tables.py`."""

from __future__ import annotations

from sqlalchemy import Column, Table, Text

from storage.columns import metadata

# Tables in which something was erased whose bytes may still stand in the file; see `erasure.py`.
residues = Table("residues", metadata, Column("name", Text, primary_key=True))
