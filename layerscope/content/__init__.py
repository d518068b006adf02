"""What kind of file some bytes are, and how to show them. Functions on bytes, no image, no UI."""
