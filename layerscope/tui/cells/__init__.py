"""What goes to the terminal: only the cells that differ from those that it shows.

Textual repaints regions whole. Here what it paints is put into a grid of cells instead, and written
is the shortest way that is found from the grid that the terminal shows to this one: moves of the
cursor, attributes that change, cells, cells that are erased, lines that scroll. The terminal is
asked for nothing, so that nothing waits for a slow line.
"""
