"""What a Dockerfile means: variables, stages, and the history that it produces."""
