"""What was parsed once, in the user's cache folder."""
