"""Tests of layerscope.tui.packages."""
