"""The field's words: what ONVIF has a name for is called so here, and what is ours is listed, so that none slips in."""

from __future__ import annotations

import re
from pathlib import Path

from agent.core.access import Denial
from agent.core.events import Kind, Mode

STORIES = Path(__file__).parents[2] / "fixtures" / "scenarios"

# ONVIF Access Control Service 22.06, events (namespace prefix left out), and Door Control Service 22.06
TOPICS = {
    "AccessControl/AccessGranted/Anonymous", "AccessControl/AccessGranted/Credential",
    "AccessControl/AccessTaken/Anonymous", "AccessControl/AccessTaken/Credential",
    "AccessControl/AccessNotTaken/Anonymous", "AccessControl/AccessNotTaken/Credential",
    "AccessControl/Denied/Anonymous", "AccessControl/Denied/Credential", "AccessControl/Denied/CredentialNotFound",
    "AccessControl/Duress", "Door/State/DoorMode", "Door/State/DoorPhysicalState", "Door/State/LockPhysicalState",
    "Door/State/DoubleLockPhysicalState", "Door/State/DoorAlarm", "Door/State/DoorTamper", "Door/State/DoorFault",
}  # fmt: skip
OUR_TOPICS = {
    "AccessControl/Watched", "AccessControl/AccessUnverified", "AccessControl/Lockout", "Door/State/Fire",
    "Door/Doorbell",
}  # fmt: skip
DOOR_MODES = {
    "Unknown", "Locked", "Unlocked", "Accessed", "Blocked", "LockedDown", "LockedOpen", "DoubleLocked",
}  # fmt: skip
STATES = {
    "Door/State/DoorMode": DOOR_MODES,
    "Door/State/DoorPhysicalState": {"Unknown", "Open", "Closed", "Fault"},
    "Door/State/LockPhysicalState": {"Unknown", "Locked", "Unlocked", "Fault"},
    "Door/State/DoorAlarm": {"Normal", "DoorForcedOpen", "DoorOpenTooLong"},
    "Door/State/DoorTamper": {"Unknown", "NotInTamper", "TamperDetected"},
    "Door/State/DoorFault": {"Unknown", "NotInFault", "FaultDetected"},
}
OUR_STATES = {("Door/State/DoorFault", "Reported")}  # a word of the guard's, without a change of the fault itself
REASONS = {
    "CredentialNotFound", "CredentialNotEnabled", "CredentialNotActive", "CredentialExpired", "InvalidPIN",
    "NotPermittedAtThisTime", "Unauthorized", "Other",
}  # fmt: skip
OUR_REASONS = {
    "ClockNotTrusted", "LeaseLapsed", "SecondFactorMissing", "Spoof", "Unclear", "LockedDown", "Blocked", "LockedOut",
    "Fault", "TooLate",
}  # fmt: skip


def test_every_topic_of_access_and_door_is_onvifs_or_listed_as_ours():
    theirs = {kind.value for kind in Kind if kind.value.startswith(("AccessControl/", "Door/"))} - TOPICS
    assert theirs == OUR_TOPICS


def test_every_mode_of_the_door_is_onvifs():
    assert {mode.value for mode in Mode} <= DOOR_MODES


def test_every_reason_of_a_refusal_is_onvifs_or_listed_as_ours():
    assert {reason.value for reason in Denial} - REASONS == OUR_REASONS


def test_every_state_that_a_door_tells_of_itself_is_onvifs():
    """The stories are held against the code (test_door_stories.py), so their rows are what doors write."""
    text = "\n".join(story.read_text() for story in sorted(STORIES.glob("*.story")))
    told = set(re.findall(r"^\s+row (Door/State/\S+) (?:\S+ )*?state=(\S+)", text, re.MULTILINE))
    told = {(topic, state) for topic, state in told if topic in STATES}
    assert {topic for topic, _ in told} == STATES.keys()
    assert {(topic, state) for topic, state in told if state not in STATES[topic]} <= OUR_STATES
