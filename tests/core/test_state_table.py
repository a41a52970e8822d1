"""The page of the door's tables is what the core does."""

from fixtures import state_table


def test_the_tables_in_the_readme_are_the_core_s_own():
    """Write them anew with `python -m fixtures.state_table --write`."""
    text = state_table.PAGE.read_text(encoding="utf-8")
    assert text.count(state_table.BEGIN) == text.count(state_table.END) == 1
    assert state_table.page(text) == text
