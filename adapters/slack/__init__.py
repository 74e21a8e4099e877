"""The Slack adapter: events in, messages out; only `gateway` imports Slack's libraries."""
