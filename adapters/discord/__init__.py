"""Discord: what comes in, what goes out, and the one door to its library."""
