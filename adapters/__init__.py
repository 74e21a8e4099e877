"""Where the world's formats end: one folder or file per surface and vendor."""
