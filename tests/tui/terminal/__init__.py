"""Tests of layerscope.tui.terminal."""
