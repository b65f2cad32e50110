"""Using a model: sampling the next token, writing texts, filling blanks, and saying how probable a text is."""
