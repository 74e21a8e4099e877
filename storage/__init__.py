"""Storage: the tables of the database, and one repository class per kind of record."""
