"""The Discord adapter: receives events and sends messages; only `gateway` imports discord.py."""
