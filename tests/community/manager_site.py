"""A manager's page on a free port, with managers of every role and a scripted way to order doors."""

from __future__ import annotations

import http.client
import json
from types import SimpleNamespace
from urllib.parse import urlsplit

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from agent.core.commands import Action
from deploy.community.database import SqliteConnection
from deploy.community.feed import Feed
from deploy.community.history import History
from deploy.community.ingest import Alarm
from deploy.community.ledger import Ledger
from deploy.community.news import News
from deploy.community.office import Office, Role
from deploy.community.orders import Orders
from deploy.community.page import PageParts, serve
from deploy.community.people import People
from deploy.community.visitor_passes import PassDesk


class Client:
    """Plain HTTP with one browser's cookie, so that every header is the test's own."""

    def __init__(self, url: str):
        self.host = urlsplit(url).netloc
        self.cookie = self.csrf = ""

    def connect(self):
        return http.client.HTTPConnection(self.host, timeout=10)

    def ask(self, method, path, body=None, **headers):
        connection = self.connect()
        named = {"Host": self.host, "Connection": "close", "Cookie": self.cookie, "X-CSRF-Token": self.csrf}
        named |= {"Content-Type": "application/json"} if body is not None else {}
        named |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body=None if body is None else json.dumps(body), headers=named)
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        return SimpleNamespace(
            status=answer.status,
            headers=answer.headers,
            text=data.decode(),
            json=json.loads(data) if "json" in answer.headers.get("Content-Type", "") else None,
        )

    def enter(self, secret):
        answer = self.ask("POST", "/api/enter", {"token": secret})
        if answer.status == 200:
            self.cookie = answer.headers["Set-Cookie"].split(";")[0]
            self.csrf = self.ask("GET", "/api/me").json["csrf"]
        return answer


def pass_key(folder):
    """The site's private key for visitor passes, as a file."""
    key = ec.generate_private_key(ec.SECP256R1())
    forms = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = folder / "pass.key"
    path.write_bytes(key.private_bytes(*forms))
    return path


class Page:
    """The served page, its parts, and what was ordered through it."""

    def __init__(self, folder):
        self.folder = folder
        self.ordered: list[tuple] = []
        self.answer = {"stage": "accepted", "id": "0123456789abcdef"}
        self.feed = Feed([], [])
        self.office = Office(SqliteConnection(folder / "managers.db"))
        self.ledger = Ledger(SqliteConnection(folder / "community.db"))
        self.history = History(lambda: SqliteConnection(folder / "community.db"))
        self.people = People(folder / "people")
        self.passes = PassDesk(self.people, pass_key(folder))
        self.orders = Orders(self.order, self.office, self.feed)
        self.parts = PageParts(
            self.feed, self.office, self.history, self.people, self.orders, self.passes, frame_ancestors="'none'"
        )
        self.server = serve(self.parts, "127.0.0.1", 0)
        self.url = self.server.url
        self.door("garden/gate-1")

    def order(self, device, action, actor, for_s):
        self.ordered.append((device, action, actor, for_s))
        return self.answer

    def door(self, name, **facts):
        calm = {"mode": "Locked", "lock": "secured", "contact": "closed", "fire": False, "alarms": [], "faults": []}
        state = {"online": True, "door": {**calm, "tamper": False, **facts}, "clock": "ntp", "challenge": "c"}
        self.feed.add(News("state", name, {**state, "roster": {"epoch": 3, "persons": 214}}))

    def event(self, seq, kind, priority=1, device="garden/gate-1", **body):
        at_ms = 1_790_000_000_000 + seq * 1000
        row = {"epoch": "e", "seq": seq, "kind": str(kind), "priority": int(priority), "clock": "ntp"}
        times = {"wall_ms": at_ms, "at_ms": at_ms, "at_clock": "ntp"}
        self.feed.add(News("event", device, {**row, **times, "body": body}))

    def alarm(self, word, detail, device="garden/gate-1"):
        at_ms = 1_790_000_009_000
        with self.ledger.transaction():
            number = self.ledger.alarm(device, Alarm(word, detail), at_ms)
        self.feed.add(News("alarm", device, {"id": number, "word": word, "detail": detail, "at_ms": at_ms}))

    def signed_in(self, role: Role, name: str | None = None) -> Client:
        client = Client(self.url)
        assert client.enter(self.office.link(self.office.add(name or f"a {role}", role))).status == 200
        return client

    def close(self):
        self.orders.close()
        self.feed.close()
        self.server.close()
        self.history.close()
        self.ledger.close()
        self.office.close()


OPEN = {"action": str(Action.OPEN), "reason": "delivery"}
