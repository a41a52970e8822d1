"""What was used at this door: steps of phones, uses of visitor passes. One fact in the journal for each.

A phone's step only rises, which needs no clock. But a step that was used while the door knew no time may lie in the
future: taken for "everything before it is used", it would lock the phone out until then. So such steps are kept one by
one, and count for what they are once the time is known (decisions/0007).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from agent.core.events import Json

_MAX_LOOSE: Final = 32
_STEP_FACT: Final = "pass.step."
_VISIT_FACT: Final = "pass.visit."
_OLD_FACT: Final = "passes"  # what releases before this one kept, all in one
_YEAR_2106_S: Final = 2**32 - 1  # the latest end that a pass can have


@dataclass(frozen=True, slots=True)
class Steps:
    """What was used of one phone's key: every step up to `all_to`, and single ones above, ascending.

    `loose` were used while the door knew no time.
    """

    all_to: int = -1
    loose: tuple[int, ...] = ()

    @property
    def last(self) -> int:
        """The highest one used."""
        return self.loose[-1] if self.loose else self.all_to

    def at(self, latest: int) -> Steps:
        """With the time known: loose steps up to `latest`, the highest a right phone can show, count as others do."""
        due = [step for step in self.loose if step <= latest]
        return Steps(max([self.all_to, *due]), self.loose[len(due) :]) if due else self

    def used(self, step: int, *, time_known: bool) -> Steps:
        """With one step more, which is above all that counted."""
        if time_known:
            return replace(self, all_to=step)
        loose = (*self.loose, step)
        if len(loose) > _MAX_LOOSE:
            return Steps(max(self.all_to, loose[0]), loose[1:])
        return replace(self, loose=loose)


@dataclass(frozen=True, slots=True)
class Visits:
    """How often a visitor's pass with a number of uses was used, and when it ends."""

    used: int
    until_s: int


@dataclass(frozen=True, slots=True)
class Book:
    """Everything used. What changed is stored with the intent rows, so it survives a reboot."""

    steps: Mapping[str, Steps] = field(default_factory=dict)  # by hex of key_ref
    visits: Mapping[str, Visits] = field(default_factory=dict)  # by hex of pass_id
    since_step: int = -1  # of the door's start, not stored: an older code may have been used by a book that is lost

    def with_steps(self, name: str, steps: Steps) -> Book:
        """With another page for one phone's key."""
        return replace(self, steps={**self.steps, name: steps})

    def with_visit(self, pass_id: str, until_s: int, utc_s: float) -> Book:
        """With one use more of a pass. Passes that are over are forgotten: their end alone refuses them."""
        used = self.visits[pass_id].used if pass_id in self.visits else 0
        kept = {name: visits for name, visits in self.visits.items() if visits.until_s > utc_s}
        return replace(self, visits={**kept, pass_id: Visits(used + 1, until_s)})

    def changes(self, before: Book) -> dict[str, Json]:
        """The facts that differ from an earlier book's; None: one that is to be deleted."""
        steps: dict[str, Json] = {
            _STEP_FACT + name: [steps.all_to, *steps.loose]
            for name, steps in self.steps.items()
            if before.steps.get(name) != steps
        }
        visits: dict[str, Json] = {
            _VISIT_FACT + name: [visits.used, visits.until_s]
            for name, visits in self.visits.items()
            if before.visits.get(name) != visits
        }
        return steps | visits | {_VISIT_FACT + name: None for name in before.visits if name not in self.visits}

    @classmethod
    def from_facts(cls, facts: Mapping[str, object]) -> Book:
        """From the journal; what is none of its facts is left out."""
        steps = {name: Steps(one[0], tuple(one[1:])) for name, one in _numbers(facts, _STEP_FACT) if one == sorted(one)}
        visits = {name: Visits(*one) for name, one in _numbers(facts, _VISIT_FACT) if len(one) == 2}  # noqa: PLR2004
        return cls(steps, visits)


def moved_facts(facts: Mapping[str, object]) -> dict[str, Json]:
    """What a release before this one left in the journal, as facts of today to store with the next row; {}: nothing."""
    old = facts.get(_OLD_FACT)
    if not isinstance(old, Mapping):
        return {}
    found: dict[str, Json] = {_STEP_FACT + name: [-1, step] for name, step in _counts(old.get("steps"))}
    found |= {_VISIT_FACT + name: [used, _YEAR_2106_S] for name, used in _counts(old.get("uses"))}
    return {**found, _OLD_FACT: None}


def _numbers(facts: Mapping[str, object], prefix: str) -> list[tuple[str, list[int]]]:
    """Lists of whole numbers among the facts with this prefix, by what follows it."""
    return [
        (name.removeprefix(prefix), list(value))
        for name, value in facts.items()
        if name.startswith(prefix) and isinstance(value, list) and value and all(type(one) is int for one in value)
    ]


def _counts(value: object) -> list[tuple[str, int]]:
    return [(str(n), count) for n, count in value.items() if type(count) is int] if isinstance(value, Mapping) else []
