"""Makes an image of another one: layers squashed, paths dropped, or moved onto another base.

`edit` says what the new image consists of, and what that changes; `layers` and `rebase` plan such
edits, `document` writes the configuration and history, and `making` the image. Nothing is written
before that, and layers that do not change stay as they are, byte for byte.
"""
