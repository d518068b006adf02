"""Problems in a Dockerfile: our own checks, hadolint and BuildKit."""
