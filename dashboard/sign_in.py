"""Sign-in by OpenID Connect: Streamlit talks to the provider, and what its cookie says is checked here, each time."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from core.console.said import Said, said_in
from core.settings import Provider, Settings
from dashboard.door import Session

if TYPE_CHECKING:
    from streamlit.runtime.secrets import SecretsValue

CALLBACK = "/oauth2callback"
ROUTES = ("/auth/login", "/auth/logout", CALLBACK)
"""Streamlit's own, open to who is not signed in yet."""
LOGOUT = ROUTES[1]
SIGN_IN = "/sign-in"
_PROVIDER = "default"
_AHEAD_S = 300
"""How far the provider's clock may be ahead."""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Who a cookie says is there."""

    name: str
    session: Session
    said: Said | None


def secrets_of(settings: Settings) -> dict[str, SecretsValue]:
    """What Streamlit is told instead of a file with secrets; nothing where nobody signs in."""
    provider = settings.provider
    if provider is None:
        return {}
    shared = hmac.new(settings.key.encode(), b"cookie", "sha256").hexdigest() if settings.key else secrets.token_hex(32)
    return {
        "auth": {
            "redirect_uri": f"{provider.address}{CALLBACK}",
            "cookie_secret": shared,  # several consoles behind one address share the key; else each has its own
            "client_id": provider.client_id,
            "client_secret": provider.client_secret,
            "server_metadata_url": provider.metadata,
        }
    }


def login_path() -> str:
    """Where Streamlit begins a sign-in; it holds for two minutes."""
    from streamlit.auth_util import encode_provider_token

    return f"{ROUTES[0]}?provider={encode_provider_token(_PROVIDER)}"


def signed_in(settings: Settings, cookies: Mapping[str, str]) -> SignedIn | str:
    """Who is there, by Streamlit's signed cookie; else why nobody is, empty where there is none."""
    from streamlit.web.server.starlette.starlette_server_config import USER_COOKIE_NAME
    from streamlit.web.server.starlette.starlette_websocket import _get_signed_cookie_with_chunks

    provider = settings.provider
    whole = _get_signed_cookie_with_chunks(dict(cookies), USER_COOKIE_NAME) if provider else None
    if provider is None or whole is None:
        return ""
    claims = json.loads(whole)
    name = _name(provider, claims)
    if name is None:
        return f"The sign-in does not say who you are: it has no {provider.claim}, or one that was not verified."
    begun = claims.get("iat")
    if isinstance(begun, bool) or not isinstance(begun, int | float) or begun > time.time() + _AHEAD_S:
        return "The sign-in does not say when it was."
    session = Session(hashlib.sha256(whole).hexdigest()[:32], begun + settings.session_s)
    if session.is_over:
        return "Your sign-in has ended."
    claim = settings.role_claim
    return SignedIn(name, session, said_in(claims, claim, session.until) if claim else None)


def _name(provider: Provider, claims: Mapping[str, object]) -> str | None:
    """The claim that names people; of an e-mail only what the provider says it has verified."""
    parts = urlsplit(provider.address)
    if claims.get("is_logged_in") is not True or claims.get("origin") != f"{parts.scheme}://{parts.netloc}":
        return None
    if provider.claim == "email" and claims.get("email_verified") is not True:
        return None
    name = claims.get(provider.claim)
    return name.strip() or None if isinstance(name, str) and name.isprintable() else None
