"""What layerscope says of images, measured against what real engines make of them."""
