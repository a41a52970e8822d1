"""On the device: somebody walks up to the camera (a film of projector.py); what the relay's line did meanwhile.

python3 walk_up.py FOLDER FILM PIN ENERGISED WITHIN_S: prints one JSON object, times on CLOCK_BOOTTIME.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from lines import Scope, multimeter, now_s

AFTERWARDS_S = 12.0  # the longest release, begun at the last picture, is over


def main(folder: Path, film: str, pin: int, energised: int, within_s: float) -> None:
    """See the module."""
    scope = Scope()
    scope.clear()
    (folder / "played").unlink(missing_ok=True)
    began_s = now_s()
    (folder / "wanted.new").write_text(film)
    (folder / "wanted.new").rename(folder / "wanted")
    while not (folder / "played").exists() and now_s() < began_s + within_s:
        time.sleep(0.2)
    played = (folder / "played").exists()
    film_s = now_s() - began_s
    time.sleep(AFTERWARDS_S)
    facts = {
        "began_s": began_s,
        "film_s": round(film_s, 1) if played else None,
        "energised": scope.rises(pin, energised),
        "changes": scope.changes(pin),
        "at_the_end": multimeter(pin),
    }
    print(json.dumps(facts))  # noqa: T201  the answer


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]))
