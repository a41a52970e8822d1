"""Weight files on this machine: where they are, whether they are the right bytes, how to get those that are not."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from models.errors import ModelFileError
from models.manifest import ModelEntry, WeightFile, known

_PROJECT: Final = Path(__file__).resolve().parent.parent
_SYSTEM_WEIGHTS: Final = Path("/var/lib/door-agent/weights")
_PULL_TIMEOUT_S: Final = 30.0

State = Literal["ready", "missing", "damaged"]


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """One network on this machine. `detail` is empty when it is ready, else says what is wrong with which file."""

    entry: ModelEntry
    state: State
    detail: str


def default_cache_folder() -> Path:
    """DOOR_AGENT_CACHE, else /var/cache/door-agent for root, else ~/.cache/door-agent."""
    if named := os.environ.get("DOOR_AGENT_CACHE"):
        return Path(named)
    if os.geteuid() == 0:
        return Path("/var/cache/door-agent")
    try:
        return Path.home() / ".cache" / "door-agent"
    except RuntimeError as error:
        raise ModelFileError("this user has no home folder: name one for the networks with DOOR_AGENT_CACHE") from error


class Store:
    """Finds and checks weight files.

    Looks in the configured folder, DOOR_AGENT_WEIGHTS, the folder shared beside the project,
    /var/lib/door-agent/weights, the cache, and in the Python package that an entry names; the first file of the right
    name is the one that counts.
    """

    def __init__(self, weights_folder: Path | None = None, cache_folder: Path | None = None) -> None:
        self.cache_folder = cache_folder or default_cache_folder()
        named = os.environ.get("DOOR_AGENT_WEIGHTS")
        self._chosen = weights_folder or (Path(named) if named else None)
        places = (weights_folder, Path(named) if named else None, _PROJECT.parent / "shared" / "data" / "weights")
        self.folders = tuple(p for p in (*places, _SYSTEM_WEIGHTS, self.cache_folder / "weights") if p is not None)

    def find(self, file: WeightFile) -> Path | None:
        """The first file of this name, whatever its bytes. A folder that may not be looked into has none."""
        for folder in (*self.folders, *_package_folders(file.package)):
            with contextlib.suppress(OSError):
                if (path := folder / file.name).is_file():
                    return path
        return None

    def read(self, entry: ModelEntry) -> tuple[bytes, ...]:
        """The bytes of every file, checked against the manifest. Raises ModelFileError naming the file and the cure."""
        return tuple(self.read_file(entry, file) for file in entry.files)

    def status(self, entry: ModelEntry) -> ModelStatus:
        """Ready only if every file is here with the right checksum."""
        if any(self.find(file) is None for file in entry.files):
            absent = ", ".join(file.name for file in entry.files if self.find(file) is None)
            return ModelStatus(entry, "missing", f"not on this machine: {absent}")
        try:
            self.read(entry)
        except ModelFileError as error:
            return ModelStatus(entry, "damaged", str(error))
        return ModelStatus(entry, "ready", "")

    def verify(self) -> list[ModelStatus]:
        """The state of every network in the manifest (`door-agent models list` and `verify`)."""
        return [self.status(entry) for entry in known()]

    def add(self, folder: Path) -> list[str]:
        """Copy every file of `folder` that the manifest knows into the weights folder, checked; the names added.

        Raises ModelFileError if the folder holds none of them or one has the wrong bytes (nothing is copied then).
        """
        if not folder.is_dir():
            raise ModelFileError(f"{folder} is not a folder; give the folder that holds the downloaded weight files")
        wanted = [(entry, file) for entry in known() for file in entry.files if (folder / file.name).is_file()]
        if not wanted:
            names = ", ".join(file.name for entry in known() for file in entry.files if file.url)
            raise ModelFileError(f"{folder} holds no weight file that is known by name; known are: {names}")
        checked = [(file, _checked(folder / file.name, entry, file)) for entry, file in wanted]
        return [self._install(file, data).name for file, data in checked]

    def pull(self, names: Iterable[str] = ()) -> list[str]:
        """Fetch missing files from their publishers; the file names that were fetched.

        Without `names` those of every recommended network: what is used only when asked for is fetched only when asked
        for. One that cannot be had does not keep the others away. Raises ModelFileError, after the last, when the line
        is closed, the server answers something else, the checksum differs, or a named network comes in a package.
        """
        asked = set(names)
        chosen = [one for one in known() if (one.name in asked if asked else one.recommended)]
        if strange := asked - {entry.name for entry in chosen}:
            listed = ", ".join(entry.name for entry in known())
            raise ModelFileError(f"no network is called {', '.join(sorted(strange))}; known are {listed}")
        fetched: list[str] = []
        troubles: list[str] = []
        absent = [(one, file) for one in chosen for file in one.files if not self._present(one, file)]
        for one, file in absent:
            if not file.url:
                if one.name in asked:
                    troubles.append(f"{file.name} has no address of its own: {_cure(one, file)}")
                continue
            try:
                fetched.append(self._install(file, _fetched(one, file)).name)
            except ModelFileError as error:
                troubles.append(str(error))
        if troubles:
            done = [f"fetched: {', '.join(fetched)}"] if fetched else []
            raise ModelFileError("; ".join([*troubles, *done]))
        return fetched

    def _present(self, entry: ModelEntry, file: WeightFile) -> bool:
        try:
            self.read_file(entry, file)
        except ModelFileError:
            return False
        return True

    def read_file(self, entry: ModelEntry, file: WeightFile) -> bytes:
        """The bytes of one file, checked against the manifest."""
        return _checked(self.path(entry, file), entry, file)

    def path(self, entry: ModelEntry, file: WeightFile) -> Path:
        """Where the file is. Raises ModelFileError with the cure where it is not."""
        path = self.find(file)
        if path is None:
            raise ModelFileError(
                f"{file.name} (network {entry.name}) is not on this machine; {_cure(entry, file)}. "
                f"Looked in {', '.join(str(folder) for folder in self.folders)}"
            )
        return path

    def _install(self, file: WeightFile, data: bytes) -> Path:
        failures = []
        for folder in (self._chosen,) if self._chosen else (_SYSTEM_WEIGHTS, self.cache_folder / "weights"):
            try:
                folder.mkdir(parents=True, exist_ok=True)
                return replace_file(folder / file.name, data)
            except OSError as error:
                failures.append(f"{folder}: {error.strerror}")
        raise ModelFileError(
            f"no folder to keep {file.name} in can be written ({'; '.join(failures)}); set DOOR_AGENT_WEIGHTS"
        )


def replace_file(path: Path, data: bytes) -> Path:
    """Write a whole file so that a crash leaves the old or the new one: temporary file, fsync, rename, fsync."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as handle:
        try:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
            Path(handle.name).chmod(0o644)
            Path(handle.name).replace(path)
        except OSError:
            Path(handle.name).unlink(missing_ok=True)
            raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return path


def _package_folders(package: str) -> tuple[Path, ...]:
    """Where an installed package keeps its weights, without importing it (importing this one can end the process)."""
    spec = importlib.util.find_spec(package) if package else None
    return tuple(Path(place) / "models" for place in (spec.submodule_search_locations or ())) if spec else ()


def _checked(path: Path, entry: ModelEntry, file: WeightFile) -> bytes:
    try:
        size = path.stat().st_size
        data = path.read_bytes() if size == file.bytes else b""
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror}") from error
    if size != file.bytes or hashlib.sha256(data).hexdigest() != file.sha256:
        raise ModelFileError(
            f"{path} is not the file that the manifest names ({size} bytes, expected {file.bytes} "
            f"with sha256 {file.sha256[:12]}…): delete it, then {_cure(entry, file)}"
        )
    return data


def _cure(entry: ModelEntry, file: WeightFile) -> str:
    if file.package:
        return f"install the Python package {file.package}"
    return (
        f"run `door-agent models pull {entry.name}`, or fetch {file.url} elsewhere and `door-agent models add FOLDER`"
    )


def _fetched(entry: ModelEntry, file: WeightFile) -> bytes:
    try:
        with urllib.request.urlopen(file.url, timeout=_PULL_TIMEOUT_S) as answer:  # noqa: S310  the manifest holds https only
            data: bytes = answer.read(file.bytes + 1)
    except (urllib.error.URLError, OSError) as error:
        reason = getattr(error, "reason", error)
        raise ModelFileError(
            f"{file.name} could not be fetched from {file.url}: {reason}. If this machine has no line to the "
            f"publisher, fetch it on another one (sha256 {file.sha256}) and run `door-agent models add FOLDER`"
        ) from error
    if len(data) != file.bytes or hashlib.sha256(data).hexdigest() != file.sha256:
        raise ModelFileError(
            f"{file.url} answered something else than {file.name} of network {entry.name} (expected {file.bytes} bytes "
            f"with sha256 {file.sha256}); nothing was kept. A proxy or a moved file is the likely reason"
        )
    return data
