"""The rules of a staged roll-out, pure: what the doors say -> whom to order now, and whether it goes on.

A plan is what the operator asked for, progress what became of it. The next stage begins when every door of the stages
so far runs the release and has been healthy for `healthy_s` without a break. A door that refused, failed or went back
ends it, and so does one that took the release and stays ill. Nothing begins again by itself.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from math import ceil
from typing import Any, Final

from agent.core.updates import Bundle, Stage, Why

ORDER_AGAIN_MS: Final = 60_000  # a door that did not hear the order
ORDERS_AT_ONCE: Final = 8  # then it looks again: a door that fails, or a stop, holds the rest up
ILL_MS: Final = 15 * 60_000  # so long after it took the release a door may be away or ill
_BAD_PICTURES: Final = frozenset({"missing", "stalled", "frozen"})  # a dark camera is night
_PERCENT: Final = re.compile(r"([1-9][0-9]?|100)%")
_COUNT: Final = re.compile(r"[1-9][0-9]{0,5}")
_MENDS_ITSELF: Final = frozenset(
    {"not-sent", "no-answer", "too-many", "stale-challenge", "counter-not-above", str(Why.BUSY)}
)

States = Mapping[str, Mapping[str, Any] | None]  # door -> what it says of itself; None: not connected


@dataclass(frozen=True, slots=True)
class Plan:
    """What was asked for. `stages`: "3" doors, "10%" of them, "all"; each counts those before it in."""

    id: str
    bundle: Bundle
    machine: str  # as a door says it: aarch64-cp313
    stages: tuple[str, ...]
    healthy_s: int
    first: tuple[str, ...] = ()  # these doors before others
    began_ms: int = 0
    stopped: str = ""

    def to_json(self) -> dict[str, Any]:
        """For a file."""
        return {**asdict(self), "bundle": self.bundle.to_json()}

    @classmethod
    def read(cls, value: Mapping[str, Any]) -> Plan:
        """Raises ValueError, KeyError, TypeError for what is not one."""
        bundle = Bundle.read(value["bundle"])
        if bundle is None:
            raise ValueError("its bundle is none")
        lists = {name: tuple(map(str, value[name])) for name in ("stages", "first")}
        return cls(**{**value, **lists, "bundle": bundle})


@dataclass(frozen=True, slots=True)
class Member:
    """One door of it. `said` is the door's own stage, "" before it heard of it; times are the server's."""

    stage: int
    said: str = ""
    why: str = ""
    ill_before: tuple[str, ...] = ()  # what ailed it before: no fault of the release
    asked_ms: int = 0
    took_ms: int | None = None
    healthy_ms: int | None = None  # since when, without a break


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it is. `ended`: "", "done" or "stopped"; `why` in words."""

    plan: str
    stage: int = 0
    members: Mapping[str, Member] = field(default_factory=dict)
    ended: str = ""
    why: str = ""

    def to_json(self) -> dict[str, Any]:
        """For a file."""
        return {**asdict(self), "members": {door: asdict(one) for door, one in self.members.items()}}

    @classmethod
    def read(cls, value: Mapping[str, Any]) -> Progress:
        """Raises ValueError, KeyError, TypeError, AttributeError for what is not one."""
        told = {door: {**one, "ill_before": tuple(one["ill_before"])} for door, one in value["members"].items()}
        return cls(**{**value, "members": {door: Member(**one) for door, one in told.items()}})


@dataclass(frozen=True, slots=True)
class Turn:
    """What one look comes to: `order` these doors now; `alarm` is (door, words) when it was stopped by one."""

    progress: Progress
    order: tuple[str, ...] = ()
    alarm: tuple[str, str] | None = None


def check_stages(stages: tuple[str, ...]) -> str:
    """What is wrong with a list of stages, in words; empty: nothing."""
    for one in stages:
        if one != "all" and not _PERCENT.fullmatch(one) and not _COUNT.fullmatch(one):
            return f"--stage {one}: a number of doors (1), a part of them (10%), or all"
    return ""


def takes_part(plan: Plan, state: Mapping[str, Any] | None) -> bool:
    """Whether a door that is connected takes releases from afar, and this one fits it."""
    said = (state or {}).get("update")
    return isinstance(said, Mapping) and said.get("machine") == plan.machine


def ailments(state: Mapping[str, Any]) -> tuple[str, ...]:
    """What is not well with a door, by its own word."""
    parts, facts = state.get("health", {}), state.get("door", {})
    found = [name for name in ("guard", "vision") if parts.get(name) is False]
    found += ["camera"] if parts.get("camera") in _BAD_PICTURES else []
    found += ["store"] if parts.get("store") not in (None, "ok") else []
    return (*found, *(str(fault) for fault in facts.get("faults") or ()))


def step(plan: Plan, progress: Progress, states: States, now_ms: int) -> Turn:
    """One look at all doors."""
    if progress.ended:
        return Turn(progress)
    if plan.stopped:
        return Turn(replace(progress, ended="stopped", why=plan.stopped))
    progress = replace(progress, members=_members(plan, progress, states))
    looked = {door: _looked(plan, one, states.get(door), now_ms) for door, one in progress.members.items()}
    progress = replace(progress, members=looked)
    for door, one in looked.items():
        if fault := _fault(one, states.get(door), now_ms):
            return Turn(replace(progress, ended="stopped", why=f"{door}: {fault}"), alarm=(door, fault))
    if looked and all(_passed(plan, one, now_ms) for one in looked.values()):
        return _next(plan, progress, states, now_ms)
    due = [d for d, one in looked.items() if _to_order(plan, one, states.get(d), now_ms)][:ORDERS_AT_ONCE]
    asked = {d: replace(looked[d], asked_ms=now_ms, ill_before=ailments(states[d] or {})) for d in due}
    return Turn(replace(progress, members={**looked, **asked}), tuple(due))


def answered(progress: Progress, door: str, answer: Mapping[str, Any]) -> Turn:
    """A door's answer to its order: a refusal that does not mend itself ends the roll-out."""
    stage, reason = str(answer.get("stage")), str(answer.get("reason", ""))
    if stage != "refused" or reason in _MENDS_ITSELF or progress.ended or door not in progress.members:
        return Turn(progress)
    one = replace(progress.members[door], said=str(Stage.REFUSED), why=reason)
    fault = f"refused the order: {reason}"
    stopped = replace(progress, ended="stopped", why=f"{door}: {fault}", members={**progress.members, door: one})
    return Turn(stopped, alarm=(door, fault))


def to_call_off(progress: Progress) -> list[str]:
    """Doors that heard of it and do not have it yet."""
    under_way = (str(Stage.FETCHING), str(Stage.WAITING), "")
    return sorted(door for door, one in progress.members.items() if one.asked_ms and one.said in under_way)


# ---------------------------------------------------------------- parts


def _members(plan: Plan, progress: Progress, states: States) -> Mapping[str, Member]:
    """Those of the stage that runs, filled up: the named ones first, the others in an order by lot."""
    able = [door for door, state in states.items() if takes_part(plan, state)]
    wanted = _size(plan.stages[progress.stage], len({*able, *progress.members}))
    found = dict(progress.members)
    for door in sorted(able, key=lambda d: _rank(plan, d)):
        if door not in found and len(found) < wanted:
            found[door] = Member(progress.stage)
    return found


def _rank(plan: Plan, door: str) -> tuple[int, str]:
    named = plan.first.index(door) if door in plan.first else len(plan.first)
    return named, hashlib.sha256(f"{plan.id} {door}".encode()).hexdigest()


def _size(stage: str, doors: int) -> int:
    if stage == "all":
        return doors
    return ceil(doors * int(stage[:-1]) / 100) if stage.endswith("%") else int(stage)


def _looked(plan: Plan, one: Member, state: Mapping[str, Any] | None, now_ms: int) -> Member:
    if state is None:
        return replace(one, healthy_ms=None)
    said = state.get("update", {})
    mine = said.get("rollout") == plan.id
    one = replace(one, said=str(said.get("stage", "")), why=str(said.get("why", ""))) if mine else one
    if not _has_it(plan, state):
        return replace(one, took_ms=None, healthy_ms=None)
    if not mine:
        one = replace(one, said=str(Stage.WELL))  # it had the release before it was asked
    well = one.said == Stage.WELL and not set(ailments(state)) - set(one.ill_before)
    took_ms = now_ms if one.took_ms is None else one.took_ms
    healthy_ms = (now_ms if one.healthy_ms is None else one.healthy_ms) if well else None
    return replace(one, took_ms=took_ms, healthy_ms=healthy_ms)


def _has_it(plan: Plan, state: Mapping[str, Any]) -> bool:
    return state.get("release") == plan.bundle.release


def _fault(one: Member, state: Mapping[str, Any] | None, now_ms: int) -> str:
    if one.said in (Stage.REFUSED, Stage.FAILED, Stage.ROLLED_BACK):
        return f"{one.said}: {one.why}" if one.why else one.said
    if one.took_ms is None or one.healthy_ms is not None or now_ms - one.took_ms < ILL_MS:
        return ""
    ill = "away" if state is None else ", ".join(ailments(state)) or one.said
    return f"has the release and is not well: {ill}"


def _passed(plan: Plan, one: Member, now_ms: int) -> bool:
    return one.healthy_ms is not None and now_ms - one.healthy_ms >= plan.healthy_s * 1000


def _to_order(plan: Plan, one: Member, state: Mapping[str, Any] | None, now_ms: int) -> bool:
    if state is None or _has_it(plan, state) or now_ms - one.asked_ms < ORDER_AGAIN_MS:
        return False
    return one.said in ("", Stage.CANCELLED)


def _next(plan: Plan, progress: Progress, states: States, now_ms: int) -> Turn:
    if progress.stage + 1 < len(plan.stages):
        return step(plan, replace(progress, stage=progress.stage + 1), states, now_ms)
    return Turn(replace(progress, ended="done", why=f"{len(progress.members)} doors"))
