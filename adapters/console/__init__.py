"""The room in a terminal: a line in, a line out."""
