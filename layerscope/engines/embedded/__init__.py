"""The embedded store: images without an engine, in an OCI image layout.

`store` manages the files, `contents` interprets them, `importing` adds images, and `engine` makes
it an engine.
"""
