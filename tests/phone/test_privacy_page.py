"""The privacy page says what the file says, in both languages, and promises what the settings' defaults do."""

import re
from html.parser import HTMLParser

import pytest

from agent.config import Privacy, Store
from deploy.community.settings import Settings
from deploy.phone import privacy_page
from deploy.phone.serve import page_files

TEXT = privacy_page.SOURCE.read_text(encoding="utf-8")


class Words(HTMLParser):
    """All text of a page, and whether every tag was closed."""

    def __init__(self) -> None:
        super().__init__()
        self.said, self.open, self.faults = "", [], []

    def handle_starttag(self, tag, attrs) -> None:
        if tag not in ("meta", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag) -> None:
        if self.open.pop() != tag:
            self.faults.append(tag)

    def handle_data(self, data) -> None:
        self.said += data


def plain(text: str) -> str:
    return re.sub(r"\s+", "", re.sub(r"^(#+|-) |\*\*", "", text, flags=re.MULTILINE))


def test_every_word_of_the_file_is_on_the_page():
    words = Words()
    words.feed(page_files()["privacy.html"].decode())
    assert (words.faults, words.open) == ([], [])
    assert plain(TEXT) in plain(words.said)


def test_hostile_text_stays_text():
    made = privacy_page.page("# <script>\n\n- **a** & <b>\n\n# two\n\nx\n").decode()
    assert "<script>" not in made
    assert "<li><b>a</b> &amp; &lt;b&gt;</li>" in made


@pytest.mark.parametrize(
    ("days", "chinese", "english"),
    [
        (Store().keep_days, "门上只留 {} 天", "Kept for {} days at the door"),
        (Settings.model_fields["events_keep_days"].default, "服务器上留 {} 天", "and {}\n  days at the server"),
        (Settings.model_fields["expired_keep_days"].default, "到期 {} 天之内", "deleted within {} days"),
        (Privacy().expired_keep_days, "到期 {} 天之内", "deleted within {} days"),
    ],
)
def test_the_days_it_names_are_the_defaults(days: int, chinese: str, english: str):
    assert chinese.format(days) in TEXT
    assert english.format(days) in TEXT
    assert Settings.model_fields["proof_keep_days"].default == 3 * 365


def test_residents_find_it_from_the_pass_and_from_the_front_page(browser, serve):
    browser.open(serve().url)
    browser.wait("return document.querySelector('a[href=\"privacy.html\"]').innerText.length > 0")
    browser.run("return navigator.serviceWorker.ready.then(() => true)")
    browser.run("document.querySelector('a[href=\"privacy.html\"]').click()")
    browser.wait("return document.querySelector('#en h1')?.innerText === 'Privacy'")
    assert browser.complaints() == []
    front = (privacy_page.SOURCE.parents[2] / "README.zh-CN.md").read_text(encoding="utf-8")
    assert "](deploy/phone/PRIVACY.md)" in front
