"""The tests of layerscope."""
