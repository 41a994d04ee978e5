"""Who gets into a dashboard that is really started: by its link, by what a proxy says, or not at all."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from core.console import accounts
from core.settings import read_settings
from tests.launching import START_S, Launched, launched

NOWHERE = "postgresql://anna@127.0.0.1:1/school"
REAL = {"DATABASE_URL": NOWHERE, "PARTITION_DESK_OPEN": ""}
PATHS = (
    "/",
    "/partitions?table=public.kids",
    "/_stcore/host-config",
    "/media/x",
    "/static/../app.py",
    "/oauth2callback",
)


@contextmanager
def started(tmp_path: Path, **environment: str) -> Iterator[tuple[Launched, str]]:
    """A dashboard on a port that is free, with the address that it prints."""
    with launched(tmp_path / "home", 0, "--port", "0", **{**REAL, **environment}) as desk:
        address = desk.wait_for("^Partition Desk is at").split()[4]
        desk.port = urlsplit(address).port or 0
        yield desk, address
        assert desk.stop() == 0


def stream(desk: Launched, **headers: str) -> int:
    """What a websocket is answered with: 101 where it is opened."""
    address = f"ws://127.0.0.1:{desk.port}/_stcore/stream"
    more = {"Origin": f"http://127.0.0.1:{desk.port}", **headers}
    try:
        with connect(address, additional_headers=more, subprotocols=[Subprotocol("streamlit")], proxy=None):
            return 101
    except InvalidStatus as error:
        return error.response.status_code


def test_a_real_server_is_shown_by_the_link_alone(tmp_path: Path) -> None:
    with started(tmp_path) as (desk, address):
        token = re.fullmatch(rf"http://127\.0\.0\.1:{desk.port}/\?token=([\w-]{{43}})", address)
        assert token
        for path in PATHS:
            status, said = desk.get(path)
            assert (status, "It was started with a link" in said) == (403, True), path
            assert desk.headers["Content-Security-Policy"] == "frame-ancestors 'none'"
            assert token[1] not in said
        assert stream(desk) == 403
        wrong = f"/?token={token[1][:-1]}{'x' if token[1][-1] != 'x' else 'y'}"
        assert desk.get(wrong)[0] == 403
        assert desk.get("/", Cookie=f"partition_desk_{desk.port}={token[1]}")[0] == 403  # the link is no cookie

        status, location, cookie = desk.asked(f"//evil.example/partitions?table=a%26b&token={token[1]}&x=1")
        assert (status, location) == (303, "/evil.example/partitions?table=a%26b&x=1")
        name, _, rest = cookie.partition("=")
        assert name == f"partition_desk_{desk.port}"
        assert {part.strip() for part in rest.split(";")[1:]} == {"HttpOnly", "Path=/", "SameSite=strict"}
        kept = cookie.partition(";")[0]
        assert desk.get("/", Cookie=kept)[0] == 200
        assert desk.get("/partitions?table=public.kids", Cookie=f"other=1; {kept}")[0] == 200
        assert stream(desk, Cookie=kept) == 101
        assert stream(desk, Cookie=kept, Origin="http://evil.example") == 403

        through = {"X-Forwarded-For": "203.0.113.5"}
        status, said = desk.get("/", Cookie=kept, **through)
        assert (status, "A proxy has passed this page on" in said) == (403, True)
        assert stream(desk, Cookie=kept, **through) == 403
        assert desk.get("/metrics", **through)[0] == 403
        assert desk.get("/metrics")[0] == 200
        assert desk.get("/readyz", **through)[0] == 503
    with started(tmp_path) as (again, _):  # what one process gave out, the next one does not take
        assert again.get("/", Cookie=f"partition_desk_{again.port}={kept.partition('=')[2]}")[0] == 403


def test_headers_of_our_own_vouch_for_nobody(tmp_path: Path) -> None:
    forged = {"X-Partition-Desk-Voucher": "x", "X-Partition-Desk-Name": "root"}
    with started(tmp_path) as (desk, _):
        assert desk.get("/", **forged)[0] == 403
        assert stream(desk, **forged) == 403


def test_elsewhere_without_a_sign_in_nothing_is_shown(tmp_path: Path) -> None:
    with started(tmp_path, STREAMLIT_SERVER_ADDRESS="0.0.0.0") as (desk, address):
        assert "token" not in address
        for path in (*PATHS, "/metrics", "/?token=x"):
            status, said = desk.get(path)
            assert (status, "listens on 0.0.0.0 and has no sign-in" in said) == (403, True), path
        assert stream(desk) == 403
        assert desk.get("/readyz")[0] == 503
        assert desk.get("/_stcore/health")[0] == 200


def test_figures_for_whoever_bears_the_token(tmp_path: Path) -> None:
    token = "a long text of chance"
    with started(tmp_path, STREAMLIT_SERVER_ADDRESS="0.0.0.0", PARTITION_DESK_METRICS_TOKEN=token) as (desk, _):
        assert desk.get("/metrics")[0] == 403
        assert desk.get("/metrics", Authorization="Bearer something else")[0] == 403
        assert desk.get("/metrics", Authorization=f"Bearer {token}")[0] == 200
        assert desk.get("/", Authorization=f"Bearer {token}")[0] == 403


def test_what_a_proxy_says_counts_from_its_address_alone(tmp_path: Path) -> None:
    sign_in = {"PARTITION_DESK_USER_HEADER": "X-Forwarded-Email", "PARTITION_DESK_ADMINS": "ada@example.org"}
    ada = {"X-Forwarded-Email": "ada@example.org", "X-Forwarded-For": "203.0.113.5"}
    with started(tmp_path, **sign_in, PARTITION_DESK_PROXY="127.0.0.1") as (desk, address):
        assert "token" not in address
        assert desk.get("/")[0] == 403
        assert stream(desk) == 403
        assert desk.get("/", **ada)[0] == 200
        assert stream(desk, **ada) == 101
        assert desk.get("/", **{**ada, "X-Forwarded-Email": " "})[0] == 403
    with started(tmp_path, **sign_in, PARTITION_DESK_PROXY="203.0.113.0/24") as (desk, _):
        assert desk.get("/", **ada)[0] == 403  # X-Forwarded-For is no address of a connection
        assert stream(desk, **ada) == 403


def test_a_name_and_a_password(tmp_path: Path) -> None:
    home = tmp_path / "home"
    environ = {"PARTITION_DESK_ACCOUNTS": "true", "PARTITION_DESK_ADMINS": "anna", "PARTITION_DESK_HOME": str(home)}
    accounts.set_password(read_settings(environ), "anna", "correct horse battery", new=True)
    with started(tmp_path, **environ) as (desk, address):
        assert "token" not in address
        status, said = desk.get("/")
        assert (status, 'type="password"' in said) == (403, True)
        assert stream(desk) == 403
        good = "name=anna&password=correct+horse+battery"
        origin = f"http://127.0.0.1:{desk.port}"
        assert desk.sent("/sign-in", "name=anna&password=wrong", Origin=origin)[::2] == (403, "")
        assert desk.sent("/sign-in", good)[::2] == (403, "")
        assert desk.sent("/sign-in", good, Origin="http://evil.example")[::2] == (403, "")
        assert desk.sent("/sign-in", "x" * 5000, Origin=origin)[::2] == (403, "")
        status, location, cookie = desk.sent("/sign-in", good, Origin=origin)
        assert (status, location) == (303, "/")
        assert {part.strip() for part in cookie.split(";")[1:]} == {"HttpOnly", "Path=/", "SameSite=strict"}
        kept = cookie.partition(";")[0]
        assert desk.get("/", Cookie=kept)[0] == 200
        assert stream(desk, Cookie=kept) == 101
        assert desk.get("/sign-out", Cookie=kept)[0] == 403  # where it leads to
        assert desk.get("/", Cookie=kept)[0] == 403
        assert "correct" not in "".join(desk.said)


@pytest.mark.one_in(4)
@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"PARTITION_DESK_USER_HEADER": "X-User"}, "PARTITION_DESK_PROXY does not say from where it is believed"),
        ({"PARTITION_DESK_USER_HEADER": "X-User", "PARTITION_DESK_PROXY": "10.0.0.5"}, "nobody is named who may do"),
        ({"PARTITION_DESK_USER_HEADER": "X-User", "PARTITION_DESK_PROXY": "proxy"}, "'proxy', which is no address"),
        ({"PARTITION_DESK_USER_HEADER": "X-User", "PARTITION_DESK_PROXY": "0.0.0.0/0"}, "everybody"),
        ({"PARTITION_DESK_USER_HEADER": "X User"}, "no name of a header"),
        ({"PARTITION_DESK_OPEN": "true", "STREAMLIT_SERVER_ADDRESS": "0.0.0.0"}, "asks nobody who is there"),
        (
            {"PARTITION_DESK_ACCOUNTS": "1", "PARTITION_DESK_ADMINS": "a", "STREAMLIT_SERVER_ADDRESS": "0.0.0.0"},
            "without TLS",
        ),
        ({"PARTITION_DESK_ACCOUNTS": "1"}, "nobody is named who may do"),
        ({"PARTITION_DESK_METRICS_TOKEN": "short"}, "PARTITION_DESK_METRICS_TOKEN has 5 characters"),
    ],
)
def test_a_sign_in_that_would_let_anybody_in_does_not_start(
    tmp_path: Path, environment: dict[str, str], message: str
) -> None:
    with launched(tmp_path / "never", 0, "--port", "0", **{**REAL, **environment}) as desk:
        assert desk.process.wait(START_S) == 1
    assert message in "".join(desk.said)
    assert not (tmp_path / "never").exists()
