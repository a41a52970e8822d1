"""Run by the Python of a Home Assistant: its own schemas and template engine on what is read from standard input.

In: {"discovery": the device discovery message, "states": [state messages]}. Out: what it makes of each, and its rules.
"""

import asyncio
import json
import sys
from types import ModuleType
from typing import Any

import voluptuous as vol
from homeassistant.components.mqtt import binary_sensor, event, lock
from homeassistant.components.mqtt.schemas import DEVICE_DISCOVERY_SCHEMA, SHARED_OPTIONS
from homeassistant.const import __version__
from homeassistant.core import HomeAssistant
from homeassistant.helpers.template import Template

_PLATFORMS: dict[str, ModuleType] = {"binary_sensor": binary_sensor, "event": event, "lock": lock}


def keys(schema: Any) -> dict[str, list[str]]:
    """A platform's keys, as its schema has them."""
    whole = (
        schema if isinstance(schema, vol.Schema) else next(v for v in schema.validators if isinstance(v, vol.Schema))
    )
    return {
        "required": sorted(str(k) for k in whole.schema if isinstance(k, vol.Required)),
        "allowed": sorted({str(k) for k in whole.schema}),
    }


def made_of(discovery: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Each component with what the device says for all, as Home Assistant puts them together; validated."""
    DEVICE_DISCOVERY_SCHEMA(json.loads(json.dumps(discovery)))
    shared = {key: discovery[key] for key in (*SHARED_OPTIONS, "qos", "device", "origin") if key in discovery}
    whole = {}
    for name, component in discovery["components"].items():
        given = {**shared, **{k: v for k, v in component.items() if k != "platform"}}
        strange = given.keys() - set(keys(_PLATFORMS[component["platform"]].DISCOVERY_SCHEMA)["allowed"])
        if strange:
            raise vol.Invalid(f"{name}: unknown keys {sorted(strange)}: they would be dropped")
        _PLATFORMS[component["platform"]].DISCOVERY_SCHEMA(json.loads(json.dumps(given)))
        whole[name] = given
    return whole


async def main() -> None:
    """See the module's first lines."""
    asked = json.load(sys.stdin)
    hass = HomeAssistant("/tmp")  # noqa: S108  nothing is written
    whole = made_of(asked["discovery"])
    templates = {name: c["value_template"] for name, c in whole.items() if "value_template" in c}
    templates["available"] = asked["discovery"]["availability"][0]["value_template"]
    shown = [
        {name: str(Template(text, hass).async_render_with_possible_json_value(json.dumps(state), "failed"))
         for name, text in templates.items()}
        for state in asked["states"]
    ]  # fmt: skip
    rules = {name: keys(platform.DISCOVERY_SCHEMA) for name, platform in _PLATFORMS.items()}
    print(json.dumps({"version": __version__, "rules": rules, "shared": sorted(SHARED_OPTIONS), "shown": shown}))  # noqa: T201


asyncio.run(main())
