"""The Slack adapter: receives events and sends messages through Slack's libraries."""
