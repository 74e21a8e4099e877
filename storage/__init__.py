"""Storage: every table, and one repository per noun."""
