"""The meaning of a Dockerfile: variables, stages, and the resulting history."""
