"""The build context: `.dockerignore`, the files, and the tar stream that is sent to the builder."""
