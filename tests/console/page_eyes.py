"""What a test reads on the door's page."""

import json


def live(page):
    page.until("document.querySelector('#live-dot').classList.contains('good')")
    page.until("document.querySelector('#picture').naturalWidth > 0")


def reads(page, selector, text):
    page.until(f"document.querySelector({json.dumps(selector)}).textContent.includes({json.dumps(text)})")


def health(page):
    return page.js(
        "Object.fromEntries([...document.querySelectorAll('#health li')].map("
        "r => [r.children[1].textContent, [r.children[0].className, r.children[2].textContent]]))"
    )
