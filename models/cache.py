"""Converted networks, kept under the checksum of what they were made from: a machine converts once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final

from models.manifest import ModelEntry
from models.store import Store, replace_file

_CHECKSUM_BYTES: Final = 32


def converted(
    store: Store, entry: ModelEntry, convert: Callable[..., bytes], *, version: int, only: str | None = None
) -> bytes:
    """What `convert` makes of an entry's files (or of the one named `only`). A damaged result is remade.

    The cached file is the result with its own SHA-256 in front. A cache folder that cannot be written costs one
    conversion at each start (under a second here) and nothing else. Raises ModelFileError if the files are not ready.
    """
    files = [file for file in entry.files if only in (None, file.name)]
    sources = "-".join(file.sha256[:16] for file in files)
    name = f"{entry.name}-{sources}-v{version}.onnx"
    path = store.cache_folder / "converted" / name
    for place in (path, *(folder / "converted" / name for folder in store.folders)):  # a bundle brings its own
        try:
            kept = place.read_bytes()
        except OSError:
            continue
        body = kept[_CHECKSUM_BYTES:]
        if body and hashlib.sha256(body).digest() == kept[:_CHECKSUM_BYTES]:
            return body
    body = convert(*(store.read_file(entry, file) for file in files))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, hashlib.sha256(body).digest() + body)
    except OSError:  # read-only or full: the conversion itself is still good
        return body
    return body
