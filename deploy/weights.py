"""The face networks that a bundle carries: files by the manifest's hashes, and what is converted from them."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Final

from deploy.own_wheel import BundleError
from models.manifest import ModelEntry, known
from models.pipeline import PipelineSettings, load_pipeline
from models.store import Store

NEEDED: Final = frozenset({"detector", "embedder"})
CONVERTED: Final = "converted"  # below the weights; models/cache.py looks there


def gather(named: Path | None, into: Path) -> bool:
    """Networks into a folder: those in `named`, else the recommended ones that are on this machine; whether any are.

    Converted ones lie beside them, so that a door's first start need not do it.

    Raises:
        BundleError: `named` has no detector or no embedder: a door without could see nobody.
        ModelFileError: a file has other bytes than the manifest's.
    """
    store = Store(named)
    taken = [one for one in known() if not any(f.package for f in one.files) and _wanted(one, store, named)]
    lacking = NEEDED - {one.part for one in taken}
    if lacking and named is not None:
        raise BundleError(f"{named} has no {' and no '.join(sorted(lacking))}: see `door-agent models list`")
    if lacking:
        return False
    for one in taken:
        for file in one.files:
            (into / file.name).write_bytes(store.read_file(one, file))
    with tempfile.TemporaryDirectory() as scratch:
        load_pipeline(PipelineSettings(weights_folder=into, cache_folder=Path(scratch)))
        if (Path(scratch) / CONVERTED).is_dir():
            shutil.copytree(Path(scratch) / CONVERTED, into / CONVERTED)
    return True


def _wanted(one: ModelEntry, store: Store, named: Path | None) -> bool:
    if named is not None:
        return all((named / file.name).is_file() for file in one.files)
    return one.recommended and store.status(one).state == "ready"
