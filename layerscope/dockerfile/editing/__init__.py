"""Support for an editor: completion, formatting, help, highlighting, files on disk."""
