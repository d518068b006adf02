"""The terminal: cell output, private parts of Textual, glyphs, themes, clipboard."""
