"""Minimal terminal output: only the cells that have changed.

Textual repaints whole regions. Here its output goes into a grid of cells, and the terminal receives
the shortest output found that turns the old grid into the new one: cursor moves, attribute changes,
cells, erased cells, scrolled lines. Cells of one colour are written together, from top to bottom.
The terminal is never queried, so nothing waits for a slow line.
"""
