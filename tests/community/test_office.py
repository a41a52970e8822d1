"""The managers' book: links sign in once, sessions end, what was done can't be changed unnoticed."""

import argparse
import json
import re
import sqlite3
import threading
from pathlib import Path

import pytest
from flask import Flask

import deploy.community
from agent.errors import DoorAgentError, StoreError
from deploy.community.__main__ import main
from deploy.community.database import SqliteConnection
from deploy.community.gate import Gate
from deploy.community.manager_command import add_parser, manage
from deploy.community.office import IDLE_MS, LINK_MS, SESSION_MS, Office, Role

PAGE = Path(deploy.community.__file__).parent / "page"


class Book:
    def __init__(self, folder):
        self.now_ms = 1_790_000_000_000
        self.path = folder / "managers.db"
        self.office = Office(SqliteConnection(self.path), lambda: self.now_ms)


@pytest.fixture
def book(tmp_path):
    book = Book(tmp_path)
    yield book
    book.office.close()


def test_a_link_signs_in_once_and_not_after_half_an_hour(book):
    chen = book.office.add("Chen", Role.OWNER)
    secret = book.office.link(chen)
    cookie, session = book.office.enter(secret)
    assert session.manager == chen
    assert book.office.session(cookie) == session
    assert book.office.enter(secret) is None
    late = book.office.link(chen)
    book.now_ms += LINK_MS + 1
    assert book.office.enter(late) is None
    assert book.office.enter("guessed") is None
    assert book.office.enter("") is None


def test_a_new_link_voids_the_one_before(book):
    chen = book.office.add("Chen", Role.OWNER)
    first, second = book.office.link(chen), book.office.link(chen)
    assert book.office.enter(first) is None
    assert book.office.enter(second) is not None


def test_a_session_ends_when_idle_when_old_and_when_left(book):
    chen = book.office.add("Chen", Role.OWNER)
    idle, _ = book.office.enter(book.office.link(chen))
    book.now_ms += IDLE_MS + 1
    assert book.office.session(idle) is None
    old, _ = book.office.enter(book.office.link(chen))
    for _ in range(SESSION_MS // (IDLE_MS - 1)):
        book.now_ms += IDLE_MS - 1
        assert book.office.session(old) is not None
    book.now_ms += IDLE_MS - 1
    assert book.office.session(old) is None
    left, _ = book.office.enter(book.office.link(chen))
    book.office.leave(left)
    assert book.office.session(left) is None


def test_who_is_removed_is_out_at_once_and_the_last_owner_stays(book):
    chen, lin = book.office.add("Chen", Role.OWNER), book.office.add("Lin", Role.MANAGER)
    cookie, _ = book.office.enter(book.office.link(lin))
    link = book.office.link(lin)
    book.office.remove(lin)
    assert book.office.session(cookie) is None
    assert book.office.enter(link) is None
    assert book.office.names()[lin.id] == "Lin"
    with pytest.raises(DoorAgentError, match="only owner"):
        book.office.remove(chen)


@pytest.mark.parametrize("name", ["", "   ", "x" * 81, "Chen", "7", " 12 ", "\uff11\uff12"])
def test_a_name_is_short_and_one_persons(book, name):
    book.office.add("Chen", Role.VIEWER)
    with pytest.raises(DoorAgentError):
        book.office.add(name, Role.VIEWER)


def test_the_file_holds_no_secret(book):
    chen = book.office.add("Chen", Role.OWNER)
    link = book.office.link(chen)
    open_link = book.office.link(chen)
    cookie, _ = book.office.enter(open_link)
    for other in book.path.parent.glob("managers.db*"):
        data = other.read_bytes()
        for secret in (link, open_link, cookie):
            assert secret.encode() not in data


@pytest.mark.parametrize(
    "crime",
    [
        "UPDATE acts SET reason = 'delivery' WHERE id = 2",
        "DELETE FROM acts WHERE id = 2",
        "UPDATE acts SET manager = 2 WHERE id = 1",
        "UPDATE acts SET hash = prev WHERE id = 3",
    ],
)
def test_a_changed_or_removed_act_is_noticed(book, crime):
    chen = book.office.add("Chen", Role.OWNER)
    for n in range(4):
        book.office.note(chen, "open", "garden/gate-1", f"reason {n}", "asked")
    assert book.office.broken() is None
    db = sqlite3.connect(book.path)
    db.execute(crime)
    db.commit()
    db.close()
    assert book.office.broken() is not None


@pytest.mark.parametrize(
    "crime",
    ["DELETE FROM acts WHERE id > 2", "DELETE FROM acts", "DELETE FROM acts WHERE id = 1"],
    ids=["the end", "all", "the beginning"],
)
def test_whoever_kept_the_mark_notices_that_rows_were_cut_off(book, crime):
    """Also when new rows grew where the old ones were."""
    for n in range(4):
        book.office.note(None, "open", "garden/gate-1", f"reason {n}")
    mark = book.office.mark()
    assert book.office.holds(mark)
    book.office.note(None, "open", "garden/gate-1", "a fifth")
    assert book.office.holds(mark)
    db = sqlite3.connect(book.path)
    db.execute(crime)
    db.commit()
    db.close()
    assert not book.office.holds(mark)
    for n in range(4):
        book.office.note(None, "open", "garden/gate-1", f"others {n}")
    assert not book.office.holds(mark)


@pytest.mark.parametrize("mark", ["", ":", "1", "-1:x", "0:x", "1:'--", "9" * 40 + ":x", "२:x"])
def test_a_mark_that_was_never_given_is_not_held(book, mark):
    book.office.note(None, "open")
    assert not book.office.holds(mark)


def test_the_mark_of_an_empty_record_holds_for_ever(book):
    mark = book.office.mark()
    book.office.note(None, "open")
    assert book.office.holds(mark)


def test_the_command_line_takes_the_mark_and_says_what_is_gone(book, capsys):
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers())

    def acts(*more):
        other = Office(SqliteConnection(book.path))
        manage(parser.parse_args(["manager", "acts", *more]), other, "")
        return capsys.readouterr().err

    for n in range(3):
        book.office.note(None, "open", str(n))
    mark = book.office.mark()
    assert mark in acts()
    acts("--since", mark)
    db = sqlite3.connect(book.path)
    db.execute("DELETE FROM acts WHERE id = 3")
    db.commit()
    db.close()
    acts()  # what is left is a sound chain
    with pytest.raises(StoreError, match="cut off"):
        acts("--since", mark)


def test_the_command_line_reads_the_record_to_its_first_row_page_by_page_or_at_once(book, capsys):
    """It showed the newest 200 and nothing led further."""
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers())

    def acts(*more):
        manage(parser.parse_args(["manager", "acts", "--json", *more]), Office(SqliteConnection(book.path)), "")
        said = capsys.readouterr()
        return [act["reason"] for act in json.loads(said.out)], re.search(r"--before (\d+)", said.err)

    for n in range(450):
        book.office.note(None, "open", "garden/gate-1", str(n))
    found, on = acts()
    pages = [found]
    while on:
        found, on = acts("--before", on[1])
        pages.append(found)
    assert [len(page) for page in pages] == [200, 200, 50]
    everything = [reason for page in pages for reason in page]
    assert everything == [str(n) for n in range(449, -1, -1)]
    assert acts("--all") == (everything, None)


def test_the_commands_on_the_sign_in_page_do_what_it_says(tmp_path, capsys):
    """It named a command that knows nobody yet as the one for the first owner."""
    (tmp_path / "community.toml").write_text(
        "".join(f'{key}_file = "x"\n' for key in ("ca", "cert", "key", "signing_key"))
    )
    shown = re.findall("<pre[^>]*>python -m deploy.community (.*)</pre>", (PAGE / "enter.html").read_text())
    assert len(shown) == 2
    for command in shown:
        words = command.replace("NAME", "Chen").replace("community.toml", str(tmp_path / "community.toml"))
        assert main(words.split()) == 0
        assert "/enter#" in capsys.readouterr().out


def test_two_writers_make_one_chain(book):
    """The server and the command line write at the same time; every act is kept, none forks the chain."""
    other = Office(SqliteConnection(book.path), lambda: book.now_ms)

    def write(office):
        for n in range(25):
            office.note(None, "open", str(n))

    threads = [threading.Thread(target=write, args=[office]) for office in (book.office, other, book.office)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(other.acts()) == 75
    assert book.office.broken() is None
    other.close()


@pytest.mark.parametrize("role", Role)
def test_a_role_may_what_the_ones_before_it_may(role):
    order = [Role.VIEWER, Role.MANAGER, Role.OWNER]
    assert [role.covers(needed) for needed in order] == [order.index(role) >= n for n in range(3)]


def test_strangers_at_several_addresses_keep_no_manager_from_signing_in(tmp_path):
    """There was one bound for all addresses together: six strangers, or one with an IPv6 network, used it up."""
    office = Office(SqliteConnection(tmp_path / "managers.db"))
    link = office.link(office.add("Li", Role.OWNER))
    app = Flask("gate")
    Gate(office, None, "'self'").install(app)

    def enter(token: str, address: str) -> int:
        client = app.test_client()
        return client.post("/api/enter", json={"token": token}, environ_base={"REMOTE_ADDR": address}).status_code

    tried = [enter("x", f"2001:db8::{n}") for n in range(1, 8) for _ in range(11)]
    assert tried == ([403] * 10 + [429]) * 7
    assert enter("\ud800", "192.0.2.8") == 403  # half a character: no text that could be a link
    assert enter(link, "192.0.2.9") == 200
    office.close()
