"""The Discord adapter: events in, messages out; only `gateway` imports discord.py."""
