"""What an editor needs: completion, formatting, help, highlighting, files on disk."""
