"""Real container engines for the tests, and the tests that need nothing but them."""
