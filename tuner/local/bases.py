"""x."""
TEMPLATE_FILE = "chat_template.jinja"
