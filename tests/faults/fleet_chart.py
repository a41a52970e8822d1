"""The fleet campaign second by second: connections, acknowledged events, how long they took; a table and a picture."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Timeline:
    """What the workers saw, on one clock; times count from the first worker's start, `killed_s` is the broker's end."""

    def __init__(self, results: list[dict[str, Any]], killed_s: float) -> None:
        began_s = min(r["began_s"] for r in results)
        self.killed_s = killed_s - began_s
        self.acks = sorted((at_s - began_s, ms) for r in results for at_s, ms in r["acks"])
        # seconds after the kill at which doors were connected again
        self.ups_s = sorted(up - killed_s for r in results for up in r["ups_s"] if up > killed_s)

    def ack_ms(self, share: float, *, before_kill: bool = False) -> float:
        """Within so many milliseconds that `share` of the events was acknowledged."""
        times_ms = [ms for at_s, ms in self.acks if not before_kill or at_s < self.killed_s]
        return _quantile(times_ms, share)

    def peak_ups_per_s(self) -> int:
        """Connections within the busiest second after the kill."""
        return max((sum(up <= t < up + 1.0 for t in self.ups_s) for up in self.ups_s), default=0)

    def seconds(self, step_s: int = 1) -> Iterator[tuple[int, int, int, float, float]]:
        """Second, doors that connected, events acknowledged, and their median and p99 in ms."""
        last = int(max([at_s for at_s, _ in self.acks] + [self.killed_s + up for up in self.ups_s], default=0.0))
        for start in range(0, last + 1, step_s):
            times_ms = [ms for at_s, ms in self.acks if start <= at_s < start + step_s]
            ups = sum(start <= self.killed_s + up < start + step_s for up in self.ups_s)
            yield start, ups, len(times_ms), _quantile(times_ms, 0.5), _quantile(times_ms, 0.99)

    def table(self, rows: int = 24) -> Iterator[str]:
        """The run in at most so many lines of text."""
        last = max((start for start, *_ in self.seconds()), default=0)
        step_s = -(-(last + 1) // rows)
        yield "    from  connected  acknowledged  median_ms    p99_ms"
        for start, ups, acked, median_ms, p99_ms in self.seconds(step_s):
            mark = "  broker killed" if start <= self.killed_s < start + step_s else ""
            yield f"{start:6} s {ups:10} {acked:13} {median_ms:10.0f} {p99_ms:9.0f}{mark}"

    def draw(self, file: Path, title: str) -> None:
        """The same as a picture."""
        import matplotlib as mpl

        mpl.use("Agg")
        import matplotlib.pyplot as plt

        at, ups, acked, median_ms, p99_ms = zip(*self.seconds(), strict=True)
        figure, (upper, middle, lower) = plt.subplots(3, figsize=(8, 7), sharex=True, layout="constrained")
        upper.bar(at, ups, width=1.0, align="edge", color="#0b57b0")
        upper.set_ylabel("doors connected\nwithin the second")
        middle.bar(at, acked, width=1.0, align="edge", color="#12703c")
        middle.set_ylabel("events acknowledged\nwithin the second")
        lower.plot(at, median_ms, label="median")
        lower.plot(at, p99_ms, label="p99")
        lower.set(yscale="log", xlabel="seconds", ylabel="commit to acknowledgement, ms")
        lower.legend()
        for axes in (upper, middle, lower):
            axes.axvline(self.killed_s, color="#b3161b", linestyle="--")
            axes.grid(visible=True, alpha=0.3)
        upper.set_title(f"{title}; the broker is killed at the dashed line")
        file.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(file, dpi=110)
        plt.close(figure)


def _quantile(values: list[float], share: float) -> float:
    if len(values) < 2:
        return values[0] if values else 0.0
    return statistics.quantiles(values, n=100, method="inclusive")[round(share * 100) - 1]
