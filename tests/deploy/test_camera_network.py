"""A network camera's way through the vision process's wall: one address, and gone when the camera is."""

import pytest

from deploy.device.camera_network import NAME, drop_in, place
from deploy.device.commands import InstallError


def config(source: str) -> str:
    return f'[camera]\nsource = "{source}"\n'


@pytest.mark.parametrize(
    ("source", "family", "address"),
    [
        ("rtsp://cam:secret@192.0.2.10:554/live", "AF_INET", "192.0.2.10"),
        ("rtsps://192.0.2.10/live", "AF_INET", "192.0.2.10"),
        ("rtsp://cam:secret@[2001:db8::7]/live", "AF_INET6", "2001:db8::7"),
    ],
)
def test_the_camera_and_nobody_else_may_be_reached_and_its_password_stays_where_it_was(source, family, address):
    text = drop_in(source)
    assert [line for line in text.splitlines() if not line.startswith("#")] == [
        "[Service]",
        "PrivateNetwork=no",
        f"RestrictAddressFamilies=AF_UNIX {family}",
        f"IPAddressAllow={address}",
    ]
    assert "secret" not in text


@pytest.mark.parametrize("source", ["csi:0", "/dev/video0", "v4l2:/dev/v4l/by-id/usb-x", "none", "still:/now.jpg", ""])
def test_every_other_camera_leaves_the_wall_whole(source):
    assert drop_in(source) == ""


@pytest.mark.parametrize("source", ["rtsp://camera.local/live", "rtsp:///live", "rtsp://192.0.2.10.evil.example/"])
def test_a_name_is_refused_because_somebody_would_have_to_be_asked_for_it(source):
    with pytest.raises(InstallError, match="as a number"):
        drop_in(source)


def test_it_is_put_in_place_once_changed_with_the_camera_and_taken_away_without_it(tmp_path):
    toml, units = tmp_path / "door.toml", tmp_path / "units"
    toml.write_text(config("rtsp://cam:secret@192.0.2.10/live"))
    assert [place(toml, units), place(toml, units)] == [True, False]
    assert "192.0.2.10" in (units / NAME).read_text()
    toml.write_text(config("rtsp://cam:secret@192.0.2.11/live"))
    assert place(toml, units)
    assert "192.0.2.11" in (units / NAME).read_text()
    toml.write_text(config("csi:0"))
    assert [place(toml, units), place(toml, units)] == [True, False]
    assert not (units / NAME).parent.exists()


@pytest.mark.parametrize("text", ["", "[camera", "camera = 3", "[camera]\nsource = 7"])
def test_a_configuration_that_cannot_be_read_makes_no_hole(tmp_path, text):
    (tmp_path / "door.toml").write_text(text)
    assert place(tmp_path / "door.toml", tmp_path) is False
