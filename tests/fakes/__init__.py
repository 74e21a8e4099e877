"""Small real servers on loopback, strict about the vendor's own rules."""
