"""Images, and the places they are read from."""
