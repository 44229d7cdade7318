"""The server: the gate is in front of every address, and it answers nothing to whoever is not let in."""

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from human_edge_detection.errors import ConfigError
from human_edge_detection.ui.routes import Routes
from human_edge_detection.ui.server import UiServer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UiServer]:
    with UiServer(tmp_path_factory.mktemp("runs")) as made:
        threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield made
        made.shutdown()


def ask(server: UiServer, method: str, path: str, body: str | None = None, **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=20)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, named)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, content


def test_the_address_opens_the_page(server: UiServer) -> None:
    place = urlsplit(server.address).path
    assert server.address.startswith("http://127.0.0.1:")
    assert ask(server, "GET", place)[0] == 200
    status, content = ask(server, "GET", f"{place}state?a=1")
    assert (status, json.loads(content)["runs"]) == (200, [])
    body = '{"experiment": "baseline"}'
    assert ask(server, "POST", f"{place}check", body, Content_Type="application/json")[0] == 200


def test_without_the_token_there_is_nothing(server: UiServer) -> None:
    for path in ("/", "/state", "/x/state", "/favicon.ico"):
        assert ask(server, "GET", path)[0] == 403
        assert ask(server, "POST", path, "{}", Content_Type="application/json")[0] == 403


def test_other_sites_are_refused_even_with_the_token(server: UiServer) -> None:
    place = urlsplit(server.address).path
    assert ask(server, "GET", place, Host="evil.example")[0] == 403
    assert ask(server, "POST", f"{place}stop", "{}", Content_Type="text/plain")[0] == 403
    assert ask(server, "POST", f"{place}stop", "{}", Content_Type="application/json", Origin="http://evil")[0] == 403
    assert ask(server, "PUT", place)[0] == 501


def test_a_body_without_end_is_not_read(server: UiServer) -> None:
    path = f"{urlsplit(server.address).path}check"
    for length in ("99999999999", "-1", "x"):
        with socket.create_connection(("127.0.0.1", server.server_address[1]), timeout=20) as plain:
            head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            plain.sendall(f"{head}Content-Length: {length}\r\n\r\n".encode())
            assert plain.makefile("rb").readline().split()[1] == b"413"


def test_a_fault_of_ours_is_told_and_the_next_request_answered(
    server: UiServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(self: Routes, path: str, query: object) -> None:
        raise KeyError("a fault")

    place = urlsplit(server.address).path
    with monkeypatch.context() as patch:
        patch.setattr(Routes, "get", fail)
        status, content = ask(server, "GET", f"{place}state")
    assert (status, "says more" in json.loads(content)["error"]) == (500, True)
    assert "a fault" in caplog.text
    assert ask(server, "GET", f"{place}state")[0] == 200


def test_each_server_has_another_token(tmp_path: Path, server: UiServer) -> None:
    with UiServer(tmp_path) as other:
        assert urlsplit(other.address).path != urlsplit(server.address).path


@pytest.mark.parametrize(
    ("host", "port", "said"), [("127.0.0.1", 70000, "expected 1 to"), ("no.such.host.invalid", 0, "--host")]
)
def test_what_cannot_be_served_is_one_line(tmp_path: Path, host: str, port: int, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        UiServer(tmp_path, host=host, port=port)


def test_a_port_in_use_is_named(tmp_path: Path, server: UiServer) -> None:
    port = server.server_address[1]
    with pytest.raises(ConfigError, match=f"--port {port} .*already in use.*another --port"):
        UiServer(tmp_path, port=port)
