"""The syntax of a Dockerfile: logical lines, words, instructions, mounts."""
