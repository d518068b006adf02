"""Long work that outlives the terminal that started it: a process of its own, and a journal."""
