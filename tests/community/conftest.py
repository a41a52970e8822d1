"""Fixtures of the manager's page; see manager_site.py."""

import pytest

from tests.community.manager_site import Client, Page


@pytest.fixture
def page(tmp_path):
    page = Page(tmp_path)
    yield page
    page.close()


@pytest.fixture
def outsider(page):
    return Client(page.url)
