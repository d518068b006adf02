"""Long work that outlives the terminal that started it: a process and a journal."""
