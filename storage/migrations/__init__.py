"""Migrations of the database, run with Alembic."""
