"""The table of what erased rows left in the file; part of `tables.py`."""

from __future__ import annotations

from sqlalchemy import Column, Table, Text

from storage.columns import metadata

# Names of tables with erased rows whose bytes may still be in the file; see `free_pages.py`.
residues = Table("residues", metadata, Column("name", Text, primary_key=True))
