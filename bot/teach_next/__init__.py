"""What to teach next: questions without a good answer, similar ones grouped."""
