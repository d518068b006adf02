"""Tests of layerscope.tui.search."""
