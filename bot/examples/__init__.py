"""Examples: proposal from a message or a form, review, editing and withdrawal."""
