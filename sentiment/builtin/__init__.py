"""The built-in reviews and the built-in miniature GPT-2."""
