from typing import Any

import pytest

from human_edge_detection.data.images.terms import terms_of_images

LICENCES = [{"id": 1, "name": "Attribution License", "url": "https://example.org/by/2.0"}, {"id": 2, "name": "Mine"}]


def test_a_text_of_the_image_comes_before_the_licence_that_it_names() -> None:
    images: list[dict[str, Any]] = [
        {"license": 1},
        {"license": 2},
        {"license": 1, "license_name": "ask  me\nfirst"},
        {},
        {"license": 9},
    ]
    assert terms_of_images(LICENCES, images) == [
        "Attribution License (https://example.org/by/2.0)",
        "Mine",
        "ask me first",
        "",
        "",
    ]


@pytest.mark.parametrize("licences", [None, "MIT", [3], [{"id": [1], "name": 4}], {"id": 1}])
def test_what_is_malformed_says_nothing(licences: object) -> None:
    assert terms_of_images(licences, [{"license": [1], "license_name": 7}]) == [""]


def test_texts_are_short_and_move_no_cursor() -> None:
    (text,) = terms_of_images(None, [{"license_name": "\x1b[2J" + "x" * 999}])
    assert text.startswith("\\x1b[2Jx")
    assert len(text) == 200
