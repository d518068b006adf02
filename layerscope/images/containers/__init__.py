"""A container's read-write layer on top of the layers of its image."""
