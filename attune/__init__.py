"""The front door: the `attune` command, its settings and the service it runs."""
