"""Finds entries of a layer by path or by content, without building a stack."""

from __future__ import annotations

import re

import numpy as np

from layerscope.filesystem.changeset import Changeset, EntryType


def find_paths(changeset: Changeset, pattern: re.Pattern[bytes]) -> list[int]:
    """Rows whose path matches a pattern (searched, not anchored); whiteouts are none."""
    search = pattern.search
    kinds = changeset.kinds
    return [
        row
        for row, path in enumerate(changeset.paths())
        if search(path) is not None and kinds[row] < EntryType.WHITEOUT
    ]


def find_digest(changeset: Changeset, digest: bytes) -> list[int]:
    """Rows of regular files whose content has a SHA-256; content that was not read is not found."""
    if changeset.digests is None:
        return []
    wanted = np.frombuffer(digest, np.uint8)
    rows: list[int] = np.flatnonzero((changeset.digests == wanted).all(axis=1)).tolist()
    return rows
