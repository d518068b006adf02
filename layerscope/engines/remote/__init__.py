"""Images of an engine behind ssh, read by the layerscope that is there; see `protocol`."""
