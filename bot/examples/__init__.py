"""Examples: proposed from a message or a form, approved, edited, withdrawn."""
