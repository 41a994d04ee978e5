"""What is believed of the cookie of a sign-in, and for how long."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from streamlit.web.server.starlette.starlette_app_utils import create_signed_value

from core.errors import SettingError
from core.settings import Settings, read_settings
from dashboard import sign_in
from dashboard.door import Session
from dashboard.sign_in import SignedIn, signed_in

NAME = "_streamlit_user"
ENVIRON = {
    "PARTITION_DESK_KEY": "a key of the tests",
    "PARTITION_DESK_ADMINS": "ada@example.org",
    "PARTITION_DESK_OIDC_URL": "https://id.example.org/.well-known/openid-configuration",
    "PARTITION_DESK_OIDC_CLIENT_ID": "desk",
    "PARTITION_DESK_OIDC_CLIENT_SECRET": "not a secret",
    "PARTITION_DESK_URL": "https://desk.example.org/ops/",
}


def settings(**more: str) -> Settings:
    return read_settings({**ENVIRON, **{f"PARTITION_DESK_{name}": text for name, text in more.items()}})


def cookie(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> dict[str, str]:
    """As Streamlit signs it; a change to None leaves a claim out."""
    from streamlit.web.server.starlette import starlette_websocket

    monkeypatch.setattr(starlette_websocket, "get_cookie_secret", lambda: "the secret")
    claims = {
        "is_logged_in": True,
        "origin": "https://desk.example.org",
        "email": "ada@example.org",
        "email_verified": True,
        "iat": time.time() - 60,
        **changes,
    }
    left = {name: value for name, value in claims.items() if value is not None}
    return {NAME: create_signed_value("the secret", NAME, json.dumps(left)).decode()}


def test_who_has_signed_in_is_known_until_the_session_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    found = signed_in(settings(), cookie(monkeypatch))
    assert isinstance(found, SignedIn)
    assert found.name == "ada@example.org"
    assert abs(found.session.until - time.time() - 12 * 3600 + 60) < 30
    assert Session.parse(str(found.session)) == found.session
    found.session.end()
    assert found.session.is_over
    assert signed_in(settings(), cookie(monkeypatch, iat=found.session.until - 12 * 3600)) == "Your sign-in has ended."


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"iat": 1000}, "has ended"),
        ({"iat": None}, "does not say when"),
        ({"iat": True}, "does not say when"),
        ({"iat": 1e12}, "does not say when"),
        ({"email_verified": False}, "does not say who"),
        ({"email_verified": None}, "does not say who"),
        ({"email_verified": "true"}, "does not say who"),
        ({"email": None}, "does not say who"),
        ({"email": " "}, "does not say who"),
        ({"email": "ada@example.org\x00"}, "does not say who"),
        ({"email": ["ada@example.org"]}, "does not say who"),
        ({"is_logged_in": False}, "does not say who"),
        ({"origin": "https://other.example.org"}, "does not say who"),
    ],
)
def test_what_is_not_believed(monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], why: str) -> None:
    found = signed_in(settings(), cookie(monkeypatch, **changes))
    assert isinstance(found, str)
    assert why in found


def test_a_cookie_of_another_key_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    cookie(monkeypatch)
    forged = create_signed_value("another secret", NAME, '{"email": "ada@example.org"}').decode()
    assert signed_in(settings(), {NAME: forged}) == ""
    assert signed_in(settings(), {}) == ""


def test_people_may_be_named_by_another_claim(monkeypatch: pytest.MonkeyPatch) -> None:
    found = signed_in(settings(OIDC_NAME="sub"), cookie(monkeypatch, sub="u-17", email_verified=None))
    assert isinstance(found, SignedIn)
    assert found.name == "u-17"


def test_consoles_with_one_key_take_each_others_cookies() -> None:
    assert sign_in.secrets_of(settings()) == sign_in.secrets_of(settings())
    alone = read_settings({**ENVIRON, "PARTITION_DESK_KEY": ""})
    assert sign_in.secrets_of(alone) != sign_in.secrets_of(alone)
    told = sign_in.secrets_of(settings())["auth"]
    assert isinstance(told, dict)
    assert told["redirect_uri"] == "https://desk.example.org/ops/oauth2callback"
    assert "not a secret" not in repr(settings())
    assert sign_in.secrets_of(read_settings({})) == {}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("OIDC_CLIENT_ID", "", "lacks PARTITION_DESK_OIDC_CLIENT_ID"),
        ("URL", "", "lacks PARTITION_DESK_URL"),
        ("URL", "http://desk.example.org", "no address with https"),
        ("OIDC_URL", "id.example.org", "no address with https"),
        ("ADMINS", "", "nobody is named"),
        ("SESSION", "12", "no time up to 30 days"),
        ("SESSION", "0 hours", "no time up to 30 days"),
        ("SESSION", "31 days", "no time up to 30 days"),
        ("USER_HEADER", "X-User", "PARTITION_DESK_PROXY"),
    ],
)
def test_half_a_sign_in_is_refused(name: str, text: str, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        settings(**{name: text})


@pytest.mark.parametrize(("text", "seconds"), [("12 hours", 43_200), ("1 day", 86_400), ("90 Minutes", 5_400)])
def test_a_session_has_a_unit(text: str, seconds: int) -> None:
    assert settings(SESSION=text).session_s == seconds
