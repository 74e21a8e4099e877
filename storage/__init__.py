"""Where facts last: every table, and one file per noun."""
