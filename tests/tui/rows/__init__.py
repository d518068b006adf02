"""Tests of layerscope.tui.rows."""
