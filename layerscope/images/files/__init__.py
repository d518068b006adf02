"""The content of files in an image: reading, comparing, extracting."""
