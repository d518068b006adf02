"""Tests of layerscope.tui.editor."""
