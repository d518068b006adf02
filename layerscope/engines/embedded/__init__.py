"""layerscope's own store: images without any engine, in an OCI image layout.

`store` keeps the files, `contents` says what they mean, `importing` brings images in, and `engine`
is one more engine.
"""
