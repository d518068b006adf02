"""What can list and export images; and the way from a SOURCE to an image."""
