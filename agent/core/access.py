"""Who may come in: decide(...) -> Granted | Denied(reason)."""

from __future__ import annotations

from enum import StrEnum


class Denial(StrEnum):
    """Why somebody is not let in: ONVIF's DenyReason words where it has one, then ours."""

    CREDENTIAL_NOT_FOUND = "CredentialNotFound"
    CREDENTIAL_NOT_ENABLED = "CredentialNotEnabled"
    CREDENTIAL_NOT_ACTIVE = "CredentialNotActive"
    CREDENTIAL_EXPIRED = "CredentialExpired"
    NOT_PERMITTED_AT_THIS_TIME = "NotPermittedAtThisTime"
    UNAUTHORIZED = "Unauthorized"
    LOCKED_DOWN = "LockedDown"
    BLOCKED = "Blocked"
    LOCKED_OUT = "LockedOut"
    FAULT = "Fault"
