"""What goes to the terminal: only the cells that differ from those that it shows.

Textual repaints whole regions. Here its output is painted into a grid of cells, and the terminal
receives the shortest output found that turns the old grid into the new one: moves of the cursor,
changes of attributes, cells, erased cells, scrolled lines. What has one colour is written together,
from top to bottom. The terminal is never queried, so nothing waits for a slow line.
"""
