"""Every story in fixtures/scenarios, effect for effect."""

import pytest

from fixtures.scenarios import Story, StoryError, read, stories, told, transcript

STORIES = stories()


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.title)
def test_the_core_does_exactly_what_the_story_tells(story: Story):
    assert told(story, transcript(story)) == told(story, story.steps)


def test_there_are_stories_and_no_two_of_one_title():
    titles = [story.title for story in STORIES]
    assert len(titles) == len(set(titles)) >= 50


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("1 contact explodes", "contact"),
        ("soon contact opens", "could not convert"),
        ("1 order dance manager", "dance"),
        ("door colour=red", "colour"),
    ],
)
def test_a_story_that_cannot_be_read_names_file_line_and_text(tmp_path, line: str, fault: str):
    path = tmp_path / "bad.story"
    path.write_text(f"story Bad\n{line}\n")
    with pytest.raises(StoryError, match=r"bad\.story:2: .*") as refusal:
        read(path)
    assert fault in str(refusal.value)
