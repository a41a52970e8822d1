"""The server's configuration file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from agent import config_file
from agent.config_section import Host, TimeZone
from agent.console.local import LOOPBACK
from deploy.community.consumer import ConsumerSettings


class Settings(BaseModel):
    """One flat TOML file; relative paths are taken from its folder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    broker_host: Host = Field(default="127.0.0.1", description="the broker's name, as in its certificate")
    broker_port: Annotated[int, Field(ge=1, le=65535)] = Field(default=8883, description="TLS")
    ca_file: Path = Field(description="the site's authority, PEM")
    cert_file: Path = Field(description="this server's client certificate, PEM")
    key_file: Path = Field(description="its private key, PEM")
    signing_key_file: Path = Field(description="private Ed25519 key that signs acknowledgements, PEM")
    command_key_file: Path | None = Field(default=None, description="private Ed25519 key that signs orders to doors")
    command_key_id: str = Field(default="manager", description="the name of its public half on the doors")
    pass_key_file: Path | None = Field(default=None, description="private P-256 key that signs visitor passes, PEM")
    keys_file: Path = Field(
        default=Path("site.keys"),
        description="the site's keys as its root signed them, for doors; absent: none was replaced",
    )
    people_dir: Path = Field(default=Path("people"), description="people, doors' groups, passes; mode 0700")
    timezone: TimeZone = Field(default="Asia/Shanghai", description="IANA name; hours and times on the page are local")
    events_keep_days: Annotated[int, Field(ge=1, le=3650)] = Field(default=180, description="doors' events are kept")
    expired_keep_days: Annotated[int, Field(ge=0, le=3650)] = Field(
        default=7, description="people are forgotten so long after their validity ended"
    )
    passes_keep_days: Annotated[int, Field(ge=0, le=3650)] = Field(
        default=30, description="visitor passes are kept so long after they are over"
    )
    proof_keep_days: Annotated[int, Field(ge=30, le=3650)] = Field(
        default=1095, description="withdrawals and receipts are kept: the proof that it was done"
    )
    name: str = Field(default="community", description="certificate name and MQTT client id")
    subscription: str = Field(default="doors/+/+/up/#", description="the doors this process looks after")
    database: str = Field(default="community.db", description="a file for SQLite, or postgresql://user@host/name")
    silence_s: Annotated[float, Field(ge=10, le=86400)] = Field(default=180.0, description="no word for so long: alarm")
    http_host: str = Field(default="127.0.0.1", description="the manager's page listens here")
    http_port: Annotated[int, Field(ge=0, le=65535)] = Field(default=8481, description="0: no page")
    http_proxy: str | None = Field(default=None, description="address of the TLS proxy before the page, as it connects")
    public_url: str | None = Field(
        default=None,
        pattern=r"^https://[^/?#]+$",
        description="behind a proxy: what people type, https://doors.example",
    )
    managers_database: str = Field(
        default="managers.db", description="who may sign in and what they did; a file, or postgresql://…"
    )
    releases_dir: Path = Field(default=Path("releases"), description="the roll-out and its bundle; mode 0700")
    bundles_host: str = Field(
        default="0.0.0.0",  # noqa: S104  it is for other machines; each needs a certificate of the site
        description="bundles are served to doors here, by TLS with their certificates",
    )
    bundles_port: Annotated[int, Field(ge=0, le=65535)] = Field(default=0, description="0: nothing is rolled out")
    bundles_cert_file: Path | None = Field(
        default=None, description="certificate for that, with the names that doors use, PEM"
    )
    bundles_key_file: Path | None = Field(default=None, description="its private key, PEM")
    home_assistant: bool = Field(default=False, description="publish each door as a device for Home Assistant")
    frame_ancestors: str = Field(default="'self'", description="who may show the page in a frame")

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        if (self.http_proxy is None) != (self.public_url is None):
            raise ValueError("http_proxy and public_url go together: both behind a TLS proxy, neither on this machine")
        if self.bundles_port and None in (self.bundles_cert_file, self.bundles_key_file, self.command_key_file):
            raise ValueError("bundles_port needs bundles_cert_file, bundles_key_file and command_key_file")
        if self.http_port and self.http_host not in LOOPBACK and self.http_proxy is None:
            raise ValueError(
                f"http_host {self.http_host}: sign-ins would cross the network in the clear; keep 127.0.0.1 and use an"
                " SSH tunnel, or put a TLS proxy before the page and set http_proxy and public_url"
            )
        return self

    def consumer(self) -> ConsumerSettings:
        """What the consumer needs of it."""
        return ConsumerSettings(
            self.broker_host, self.broker_port, self.ca_file, self.cert_file, self.key_file, self.signing_key_file,
            self.name, self.silence_s, self.subscription, self.home_assistant, self.command_key_file is not None,
            self.events_keep_days,
        )  # fmt: skip


def load(path: Path) -> Settings:
    """Read the file.

    Raises:
        ConfigError: it can't be read, or a key is unknown, missing or out of bounds; one line per fault.
    """
    found = config_file.read(Settings, path, otherwise="give the right file with --config")
    folder = path.resolve().parent
    names = (
        "ca_file", "cert_file", "key_file", "signing_key_file", "command_key_file", "pass_key_file", "keys_file",
        "people_dir", "releases_dir", "bundles_cert_file", "bundles_key_file",
    )  # fmt: skip
    files = {name: folder / getattr(found, name) for name in names if getattr(found, name) is not None}
    bases = {name: getattr(found, name) for name in ("database", "managers_database")}
    places = {name: where if "://" in where else str(folder / where) for name, where in bases.items()}
    return found.model_copy(update={**files, **places})


def table() -> str:
    """The keys as a Markdown table; README.md has it and a test holds it."""
    rows = []
    for name, field in Settings.model_fields.items():
        default = "**required**" if field.is_required() else "" if field.default is None else f"`{field.default}`"
        rows.append(f"| `{name}` | {default} | {field.description or ''} |")
    return "\n".join(rows)
