"""Bronze: what was answered, word for word. Nothing in here has an opinion about it."""
