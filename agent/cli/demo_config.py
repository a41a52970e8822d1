"""The configuration files of the demo's door and server, to be filled with `str.format`."""

DOOR_CONFIG = """\
# written by `door-agent demo`; a real door's file looks the same
[door]
site = "{site}"
id = "{door}"
lock_type = "fail-secure"
lock_duty = "continuous"

[hardware]
backend = "simulated"

[hardware.relay]
pin = 17

[hardware.inputs.contact]
pin = 22

[hardware.inputs.exit]
pin = 23

[hardware.inputs.fire]
pin = 24

[hardware.inputs.tamper]
pin = 25

[hardware.inputs.lock_power]
pin = 27

[hardware.inputs.doorbell]
pin = 5

[camera]
source = "{camera}"

[faces]
policy = "{policy}"

[server]
host = "127.0.0.1"
first_connect_spread_s = 0.0
port = {port}
ca_file = "{ca}"
cert_file = "{cert}"
key_file = "{key}"
server_key_file = "{server_key}"
command_keys_dir = "{folder}/command-keys"

[passes]
keys_dir = "{folder}/pass-keys"

[store]
state_dir = "{folder}/state"

[runtime]
agent_dir = "{folder}/run"
guard_dir = "{folder}/run"

[console]
port = {console_port}
frame_ancestors = "http://127.0.0.1:*"
"""

SERVER_CONFIG = """\
broker_host = "127.0.0.1"
broker_port = {port}
ca_file = "{ca}"
cert_file = "{cert}"
key_file = "{key}"
signing_key_file = "{signing}"
command_key_file = "{command}"
command_key_id = "manager"
pass_key_file = "{passes}"
database = "{database}"
http_port = {page}
frame_ancestors = "http://127.0.0.1:*"
"""
