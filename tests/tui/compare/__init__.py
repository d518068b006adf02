"""Tests of layerscope.tui.compare."""
