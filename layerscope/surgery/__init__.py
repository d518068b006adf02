"""Creates an image from another: squash layers, drop paths, or rebase.

`edit` describes the new image and its changes; `layers` and `rebase` plan edits, `document` writes
the configuration and history, and `making` the image. Nothing is written before that, and unchanged
layers stay byte for byte.
"""
