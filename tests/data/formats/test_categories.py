import pytest

from human_edge_detection.data.formats.categories import choose_categories, counted
from human_edge_detection.errors import ConfigError, DataError

USED = {"person": 4, "Person ": 1, "rider, on a horse": 2, "dog": 3, "cat": 0}


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [
        (None, ["person", "Person "]),
        ("PERSON", ["person", "Person "]),
        ("dog, person,", ["person", "Person ", "dog"]),
        ("Rider, on a horse", ["rider, on a horse"]),
    ],
)
def test_names_are_the_same_in_upper_and_lower_case(wanted, chosen):
    assert choose_categories(USED, wanted, "x.json") == chosen


@pytest.mark.parametrize(
    ("used", "wanted", "error", "message"),
    [
        (
            {"street worker": 7, "person": 0},
            None,
            DataError,
            "x.json: no annotations of the category 'person', found 'street worker' (7 annotations); if these are "
            "persons, add --category 'street worker'",
        ),
        (
            {"man": 1, "woman": 2},
            None,
            DataError,
            "found 'woman' (2 annotations), 'man' (1); say which are persons: --category NAME[,NAME...]",
        ),
        (USED, "persons", ConfigError, "has no annotations of 'persons' (did you mean 'person'?); found 'person' (4"),
        (USED, "person,cat", ConfigError, "--category 'person,cat': x.json has no annotations of 'cat'"),
        (USED, " , ", ConfigError, "--category ' , ': x.json has no annotations of ' , '"),
        ({"person": 0}, None, DataError, "x.json: no annotations of any category that it lists"),
        ({}, "person", DataError, "x.json: no annotations of any category that it lists"),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(used, wanted, error, message):
    with pytest.raises(error) as raised:
        choose_categories(used, wanted, "x.json")
    assert message in str(raised.value)


def test_long_lists_are_cut():
    text = counted({f"c{number}": number for number in range(40)})
    assert text.startswith("'c39' (39 annotations), 'c38' (38)") and text.endswith("and 32 more")
