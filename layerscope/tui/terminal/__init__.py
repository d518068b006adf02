"""The terminal: output by cells, private parts of Textual, glyphs, themes, clipboard."""
