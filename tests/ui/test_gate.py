"""Who is let in: the right token, a known address, no page of another site."""

import pytest

from human_edge_detection.ui.gate import inner_path, refusal

NAMES = {"localhost", "desk"}
JSON = {"Content-Type": "application/json; charset=utf-8"}


@pytest.mark.parametrize(
    ("path", "inner"),
    [
        ("/secret/", ""),
        ("/secret/state", "state"),
        ("/secret/a/b", "a/b"),
        ("/secret", None),
        ("/secre/state", None),
        ("/secrets/state", None),
        ("/", None),
        ("", None),
        ("//secret/", None),
        ("/\udce4/", None),
    ],
)
def test_only_the_whole_token_opens(path: str, inner: str | None) -> None:
    assert inner_path(path, "secret") == inner


@pytest.mark.parametrize(
    "host", ["127.0.0.1:80", "127.0.0.1", "[::1]:80", "[::1]", "localhost:1", "Desk:1", "10.0.0.7:9"]
)
def test_numbers_and_own_names_are_known(host: str) -> None:
    assert refusal({"Host": host}, changes=False, names=NAMES) is None


@pytest.mark.parametrize("host", ["evil.example:80", "evil.example", "", "127.0.0.1.evil.example", "localhost.evil:80"])
def test_a_name_that_somebody_made_lead_here_is_refused(host: str) -> None:
    assert refusal({"Host": host}, changes=False, names=NAMES) is not None
    assert refusal({"Host": host, **JSON}, changes=True, names=NAMES) is not None


def test_what_changes_something_comes_from_this_page_as_json() -> None:
    host = {"Host": "localhost:1"}
    assert refusal({**host, **JSON}, changes=True, names=NAMES) is None
    assert refusal({**host, **JSON, "Origin": "http://localhost:1"}, changes=True, names=NAMES) is None
    assert refusal({**host, **JSON, "Origin": "http://localhost:2"}, changes=True, names=NAMES) is not None
    assert refusal({**host, **JSON, "Origin": "null"}, changes=True, names=NAMES) is not None
    assert refusal({**host, "Content-Type": "text/plain"}, changes=True, names=NAMES) is not None
    assert refusal(host, changes=True, names=NAMES) is not None
