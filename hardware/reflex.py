"""The guard's reflexes: when the relay is energised, decided from lines, orders and time alone. Pure, total, small.

Rules, strongest first (energised always means released):
  fire    active: released as long as it lasts. An intermittent-duty strike gets pulses of `cap_s` with rests between,
          whatever the agent orders meanwhile.
  exit    pressed (the edge, not the level): released for `release_time_s`. A stuck button opens once and is reported;
          one that chatters holds the lock released and is reported after EXIT_UNBROKEN_S. A strike that exits alone
          have made hot (EXIT_HOT_S) gets pulses like in a fire; who presses in its rest is let out after it.
  order   a lease of at most MAX_LEASE_S, fed again and again by the agent and never past the end it announced. All
          leases of one unbroken release together end after `cap_s`, unless they are held and the lock is made for it
          (`lock_duty` continuous). After that bound the relay rests. A release that ended or was replaced is over: its
          id is spent. One that only answers to fire or exit keeps what these began and energises nothing: a busy agent
          answers late.
  duty    of an intermittent strike: leases are refused while its coil is hot. Never exit, never fire.
  secure  ends leases and exit releases (these not within their first EXIT_AT_LEAST_S), never fire. An agent that only
          stops ends its leases.
No lease outlives its feed: an agent that dies, hangs or goes away loses the relay within one lease.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias, assert_never

from hardware.debounce import Line, debounced, first_seen

MAX_LEASE_S = 2.0
REST_S = 1.0  # after the bound, before a new id may release
EXIT_AT_LEAST_S = 1.0  # a person who pressed can reach the handle, whatever the agent orders
EXIT_STUCK_S = 30.0
EXIT_UNBROKEN_S = 60.0  # of release by presses alone: a dozen people do not press like that, a bad contact does
FIRE_REST_S = 5.0  # between pulses of an intermittent strike: 10 s on, 5 s off keeps a way out and the coil alive
# Coil heat of an intermittent strike, as seconds of energising: makers of such strikes allow about half the time on.
# At most HEAT_LIMIT_S in one go (three full releases in a row), then as much rest as work.
HEAT_LIMIT_S = 30.0
COOL_PER_S = 1.0
WARM_S = HEAT_LIMIT_S / 2  # a guard that starts does not know what its strike did before: one long release at most
EXIT_HOT_S = 2 * HEAT_LIMIT_S  # exits are not refused for heat; from here on they come in pulses
SPENT_IDS = 16  # far more than can be on their way in a socket that is read every few milliseconds
NEVER_S = float("-inf")


@dataclass(frozen=True, slots=True)
class ReflexSettings:
    """What the reflexes must know of this door. `debounce_s` has an entry for each input line that exists."""

    debounce_s: Mapping[str, float]
    continuous_duty: bool  # may the lock be energised for ever (magnets: yes; most strikes: no)
    release_time_s: float = 5.0
    cap_s: float = 10.0


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
    spent_ids: tuple[str, ...] = ()  # of releases that are over, the newest last
    capped_s: float = NEVER_S  # when the bound ends the present unbroken release by orders
    rest_until_s: float = NEVER_S
    exit_pressed_s: float = NEVER_S
    exit_until_s: float = NEVER_S
    exit_stuck_told: bool = False
    exit_since_s: float = NEVER_S  # since when presses alone have kept exit_until_s ahead of the time
    exit_unbroken_told: bool = False
    exit_rest_until_s: float = NEVER_S  # a hot strike rests
    exit_pulses_told: bool = False
    since_s: float = NEVER_S  # since when the relay is energised for this reason
    heat_s: float = 0.0
    at_s: float = NEVER_S  # of the last step


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
    """The agent wants the lock secured now; `leases_only`: it stops, and takes nothing from anybody going out."""

    leases_only: bool = False


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
        case SecureOrdered(leases_only):
            ended = "secure" if state.lease or now_s < state.exit_until_s else ended
            if not leases_only:
                least_s = state.exit_pressed_s + EXIT_AT_LEAST_S
                state = replace(state, exit_until_s=min(state.exit_until_s, least_s))
            state = _end_lease(state)
        case AgentGone():
            ended = "feed-lost" if state.lease else ended
            state = _end_lease(state)
        case _:
            assert_never(event)
    return _decide(state, now_s, settings, ended, reports), reports


def _decide(state: State, now_s: float, settings: ReflexSettings, ended: str, reports: list[Report]) -> State:
    tires = state.energised and state.why == "exit" and not (settings.continuous_duty or _burning(state))
    hot = tires and state.heat_s >= EXIT_HOT_S
    spent = hot and now_s - state.since_s >= settings.cap_s
    if _fire_releases(state, now_s, settings):
        energised, why = True, "fire"
    elif now_s < state.exit_until_s and now_s >= state.exit_rest_until_s and not spent:
        energised, why = True, "exit"
    elif state.lease and not _burning(state):
        energised, why = True, "order"
    else:
        ended = "bound" if spent and now_s < state.exit_until_s else ended
        energised, why = False, (ended or state.why) if state.energised else state.why
    if energised != state.energised:
        reports.append(RelayReport(energised, why))
        if hot:
            state = _rest(state, now_s, reports)
    if (energised, why) == (state.energised, state.why):
        return state
    return replace(state, energised=energised, why=why, since_s=now_s)


def _rest(state: State, now_s: float, reports: list[Report]) -> State:
    """A strike that exits have made hot is left alone for a while; what is left of a press comes after that."""
    if not state.exit_pulses_told:
        reports.append(FaultReport("exits have made the strike hot: it is released in pulses until it has cooled"))
    if now_s < state.exit_until_s:
        later_s = state.exit_until_s + FIRE_REST_S
        state = replace(state, exit_until_s=later_s, exit_pressed_s=state.exit_pressed_s + FIRE_REST_S)
    return replace(state, exit_rest_until_s=now_s + FIRE_REST_S, exit_pulses_told=True)


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
    passed_s = now_s - state.at_s if state.at_s > NEVER_S else 0.0
    heat_s = state.heat_s + passed_s if state.energised else max(0.0, state.heat_s - passed_s * COOL_PER_S)
    return replace(state, at_s=now_s, heat_s=heat_s)


def _expire(state: State, now_s: float, reports: list[Report]) -> tuple[State, str]:
    exit_ = state.lines.get("exit")
    if exit_ and exit_.active and not state.exit_stuck_told and now_s - exit_.active_since_s >= EXIT_STUCK_S:
        reports.append(FaultReport(f"the exit button is active for {EXIT_STUCK_S:.0f} s: stuck, or wrong polarity"))
        state = replace(state, exit_stuck_told=True)
    if not state.exit_unbroken_told and state.exit_since_s + EXIT_UNBROKEN_S <= now_s < state.exit_until_s:
        said = f"presses of the exit button have kept the lock released for {EXIT_UNBROKEN_S:.0f} s without a break"
        reports.append(FaultReport(f"{said}: does its contact or wire chatter?"))
        state = replace(state, exit_unbroken_told=True)
    if state.exit_pulses_told and state.heat_s < HEAT_LIMIT_S:
        state = replace(state, exit_pulses_told=False)
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
    return replace(_spend(state, state.lease.id), lease=None) if state.lease else state


def _spend(state: State, id_: str) -> State:
    return replace(state, spent_ids=(*state.spent_ids[1 - SPENT_IDS :], id_))


def _order(state: State, order: Ordered, now_s: float, settings: ReflexSettings, reports: list[Report]) -> State:
    until_s = min(now_s + min(order.lease_s, MAX_LEASE_S), order.until_s)
    if until_s <= now_s or order.id in state.spent_ids:
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
            return _spend(state, order.id)
    elif state.lease.id != order.id:
        state = _spend(state, state.lease.id)
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
        new = first_seen(name, raw, now_s) if old is None else debounced(old, raw, now_s, settings.debounce_s[name])
        lines[name] = new
        if old is not None and new.active != old.active:
            reports.append(InputReport(name, new.active))
            if name == "exit":
                state = _exit(state, new.active, now_s, settings)
    return state if lines == state.lines else replace(state, lines=lines)


def _exit(state: State, active: bool, now_s: float, settings: ReflexSettings) -> State:  # noqa: FBT001  a level
    if not active:
        return replace(state, exit_stuck_told=False)
    if now_s >= state.exit_until_s:
        state = replace(state, exit_since_s=now_s, exit_unbroken_told=False)
    begins_s = max(now_s, state.exit_rest_until_s)
    return replace(state, exit_pressed_s=begins_s, exit_until_s=begins_s + settings.release_time_s)
