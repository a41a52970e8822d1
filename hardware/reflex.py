"""The guard's reflexes: when the relay is energised, decided from lines, orders and time alone. Pure, total, small.

Rules, strongest first (energised always means released):
  fire    active: released as long as it lasts. An intermittent-duty strike gets pulses of `cap_s` with rests between,
          whatever the agent orders meanwhile.
  exit    pressed (the edge, not the level): released for `release_time_s`. A stuck button opens once and is reported.
  order   a lease of at most MAX_LEASE_S, fed again and again by the agent and never past the end it announced. All
          leases of one unbroken release together end after `cap_s`, unless they are held and the lock is made for it
          (`lock_duty` continuous). After that bound the relay rests. A release that ended is over: its id is spent.
          One that only answers to fire or exit keeps what these began and energises nothing: a busy agent answers late.
  duty    of an intermittent strike: leases are refused while its coil is hot. Never exit, never fire.
  secure  ends leases and exit releases (these not within their first EXIT_AT_LEAST_S), never fire.
No lease outlives its feed: an agent that dies, hangs or goes away loses the relay within one lease.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias, assert_never

MAX_LEASE_S = 2.0
REST_S = 1.0  # after the bound, before a new id may release
EXIT_AT_LEAST_S = 1.0  # a person who pressed can reach the handle, whatever the agent orders
EXIT_STUCK_S = 30.0
FIRE_REST_S = 5.0  # between pulses of an intermittent strike: 10 s on, 5 s off keeps a way out and the coil alive
# Coil heat of an intermittent strike, as seconds of energising: makers of such strikes allow about half the time on.
# At most HEAT_LIMIT_S in one go (three full releases in a row), then as much rest as work.
HEAT_LIMIT_S = 30.0
COOL_PER_S = 1.0
NEVER_S = float("-inf")


@dataclass(frozen=True, slots=True)
class ReflexSettings:
    """What the reflexes must know of this door. `debounce_s` has an entry for each input line that exists."""

    debounce_s: Mapping[str, float]
    continuous_duty: bool  # may the lock be energised for ever (magnets: yes; most strikes: no)
    release_time_s: float = 5.0
    cap_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Line:
    """One input: the last level seen and since when, and what is believed after debouncing."""

    raw: bool
    raw_since_s: float
    active: bool
    active_since_s: float


@dataclass(frozen=True, slots=True)
class Lease:
    """The agent's current order."""

    id: str
    until_s: float
    hold: bool
    planned: bool  # until_s is the end that the agent announced, not only the end of its last feed


@dataclass(frozen=True, slots=True)
class State:
    """Everything the reflexes remember."""

    lines: Mapping[str, Line] = field(default_factory=dict)
    energised: bool = False
    why: str = "start"
    lease: Lease | None = None
    spent_id: str = ""
    capped_s: float = NEVER_S  # when the bound ends the present unbroken release by orders
    rest_until_s: float = NEVER_S
    exit_pressed_s: float = NEVER_S
    exit_until_s: float = NEVER_S
    exit_stuck_told: bool = False
    heat_s: float = 0.0
    at_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Sampled:
    """All input lines were read: name -> active, polarity already applied."""

    levels: Mapping[str, bool]


@dataclass(frozen=True, slots=True)
class Ordered:
    """The agent feeds: released for `lease_s` from now, never past `until_s` (so a late message is harmless)."""

    id: str
    lease_s: float
    hold: bool = False
    until_s: float = float("inf")
    echo: bool = False  # because of our own reflex, as the agent heard of it: keeps a release, never begins one


@dataclass(frozen=True, slots=True)
class SecureOrdered:
    """The agent wants the lock secured now."""


@dataclass(frozen=True, slots=True)
class AgentGone:
    """The agent's connection closed."""


Event: TypeAlias = Sampled | Ordered | SecureOrdered | AgentGone


@dataclass(frozen=True, slots=True)
class InputReport:
    """A line changed, debounced."""

    line: str
    active: bool


@dataclass(frozen=True, slots=True)
class RelayReport:
    """The relay changed. Why it rose: order, exit, fire. Why it fell: these (over), bound, feed-lost, secure."""

    energised: bool
    why: str


@dataclass(frozen=True, slots=True)
class FaultReport:
    """Something a person should know."""

    detail: str


Report: TypeAlias = InputReport | RelayReport | FaultReport


def step(state: State, event: Event, now_s: float, settings: ReflexSettings) -> tuple[State, list[Report]]:
    """One step at `now_s` (never decreasing). Deadlines are looked at before the event, then the relay is decided."""
    reports: list[Report] = []
    state, ended = _expire(_heat(state, now_s, settings), now_s, reports)
    match event:
        case Sampled(levels):
            state = _sample(state, levels, now_s, settings, reports)
        case Ordered():
            state = _order(state, event, now_s, settings, reports)
        case SecureOrdered():
            ended = "secure" if state.lease or now_s < state.exit_until_s else ended
            least_s = state.exit_pressed_s + EXIT_AT_LEAST_S
            state = _end_lease(replace(state, exit_until_s=min(state.exit_until_s, least_s)))
        case AgentGone():
            ended = "feed-lost" if state.lease else ended
            state = _end_lease(state)
        case _:
            assert_never(event)
    return _decide(state, now_s, settings, ended, reports), reports


def _decide(state: State, now_s: float, settings: ReflexSettings, ended: str, reports: list[Report]) -> State:
    if _fire_releases(state, now_s, settings):
        energised, why = True, "fire"
    elif now_s < state.exit_until_s:
        energised, why = True, "exit"
    elif state.lease and not _burning(state):
        energised, why = True, "order"
    else:
        energised, why = False, (ended or state.why) if state.energised else state.why
    if energised != state.energised:
        reports.append(RelayReport(energised, why))
    return state if (energised, why) == (state.energised, state.why) else replace(state, energised=energised, why=why)


def _burning(state: State) -> bool:
    fire = state.lines.get("fire")
    return fire is not None and fire.active


def _fire_releases(state: State, now_s: float, settings: ReflexSettings) -> bool:
    if not _burning(state):
        return False
    pulse_s = (now_s - state.lines["fire"].active_since_s) % (settings.cap_s + FIRE_REST_S)
    return settings.continuous_duty or pulse_s < settings.cap_s


def _heat(state: State, now_s: float, settings: ReflexSettings) -> State:
    if settings.continuous_duty:
        return state
    passed_s = now_s - state.at_s
    heat_s = state.heat_s + passed_s if state.energised else max(0.0, state.heat_s - passed_s * COOL_PER_S)
    return replace(state, at_s=now_s, heat_s=heat_s)


def _expire(state: State, now_s: float, reports: list[Report]) -> tuple[State, str]:
    exit_ = state.lines.get("exit")
    if exit_ and exit_.active and not state.exit_stuck_told and now_s - exit_.active_since_s >= EXIT_STUCK_S:
        reports.append(FaultReport(f"the exit button is active for {EXIT_STUCK_S:.0f} s: stuck, or wrong polarity"))
        state = replace(state, exit_stuck_told=True)
    if state.lease is None:
        return state, ""
    if now_s >= state.capped_s and not state.lease.hold:
        return _end_lease(replace(state, rest_until_s=now_s + REST_S)), "bound"
    if state.heat_s >= HEAT_LIMIT_S:
        reports.append(FaultReport("release ended: the strike has been energised too much lately and must cool"))
        return _end_lease(replace(state, rest_until_s=now_s + REST_S)), "bound"
    if now_s >= state.lease.until_s:
        return _end_lease(state), "order" if state.lease.planned else "feed-lost"
    return state, ""


def _end_lease(state: State) -> State:
    return replace(state, lease=None, spent_id=state.lease.id) if state.lease else state


def _order(state: State, order: Ordered, now_s: float, settings: ReflexSettings, reports: list[Report]) -> State:
    until_s = min(now_s + min(order.lease_s, MAX_LEASE_S), order.until_s)
    if until_s <= now_s or order.id == state.spent_id:
        return state  # late, or its release is over
    if order.echo and not state.energised:
        return state  # what it answers to is over here
    hold = order.hold and settings.continuous_duty
    if state.lease is None:
        if now_s < state.rest_until_s:
            return state
        if state.heat_s > HEAT_LIMIT_S - settings.release_time_s:
            wait_s = (state.heat_s + settings.release_time_s - HEAT_LIMIT_S) / COOL_PER_S
            reports.append(FaultReport(f"release refused: the strike must cool for {wait_s:.0f} s"))
            return replace(state, spent_id=order.id)
    unbroken = state.energised and state.why == "order" and not hold
    return replace(
        state,
        lease=Lease(order.id, until_s, hold, planned=until_s == order.until_s),
        capped_s=state.capped_s if unbroken else now_s + settings.cap_s,
    )


def _sample(
    state: State, levels: Mapping[str, bool], now_s: float, settings: ReflexSettings, reports: list[Report]
) -> State:
    lines = dict(state.lines)
    for name, raw in levels.items():
        old = lines.get(name)
        new = _first(name, raw, now_s) if old is None else _debounce(old, raw, now_s, settings.debounce_s[name])
        lines[name] = new
        if old is not None and new.active != old.active:
            reports.append(InputReport(name, new.active))
            if name == "exit":
                state = _exit(state, new.active, now_s, settings)
    return state if lines == state.lines else replace(state, lines=lines)


def _first(name: str, raw: bool, now_s: float) -> Line:  # noqa: FBT001  a level
    # A line is believed as it is found, so that a stuck exit button does not open the door at every start. Only fire
    # begins inactive: found active, it becomes active after its debounce time, as an edge would.
    return Line(raw, now_s, active=raw and name != "fire", active_since_s=now_s)


def _debounce(line: Line, raw: bool, now_s: float, debounce_s: float) -> Line:  # noqa: FBT001  a level
    if raw != line.raw:
        line = replace(line, raw=raw, raw_since_s=now_s)
    if raw != line.active and now_s - line.raw_since_s >= debounce_s:
        line = replace(line, active=raw, active_since_s=now_s)
    return line


def _exit(state: State, active: bool, now_s: float, settings: ReflexSettings) -> State:  # noqa: FBT001  a level
    if not active:
        return replace(state, exit_stuck_told=False)
    return replace(state, exit_pressed_s=now_s, exit_until_s=now_s + settings.release_time_s)
