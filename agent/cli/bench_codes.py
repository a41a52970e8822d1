"""door-agent bench codes, for people: the door's reader beside OpenCV's, and a phone held up."""

from __future__ import annotations

from typing import Any


def show(report: dict[str, Any]) -> None:
    """For people."""
    print(f"{report['photographs']} photographs")
    for name, score in report["readers"].items():
        print(
            f"{name:8} read {score['read']} ({100 * score['rate']:.1f} %), misread {score['misread']}, "
            f"{score['median_ms']} ms median, {score['p95_ms']} ms p95, {score['no_code_720p_ms']} ms without a code"
        )
    distances = sorted({row["cm"] for row in report["phone_held_up"]})
    print(f"\n{'a phone held up':22}" + "".join(f"{cm:>9} cm" for cm in distances))
    for condition in dict.fromkeys(row["condition"] for row in report["phone_held_up"]):
        rows = [row for row in report["phone_held_up"] if row["condition"] == condition]
        cells = [f"{row['read']}/{row['of']} {row['median_ms']:.0f} ms" for row in rows]
        print(f"{condition:22}" + "".join(f"{cell:>12}" for cell in cells))
