"""The `attune` command, its settings and the service it runs."""
