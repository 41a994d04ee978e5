"""Signing in by OpenID Connect, with a provider in a process of its own: each role, a stranger, and how it ends."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.conftest import THIS_YEAR, button
from tests.launching import START_S, Launched, launched
from tests.tables import Made, Run

PATIENCE_MS = 120_000
PEOPLE = ("ada", "oscar", "audrey", "vera", "mallory")
LISTS = {"ADMINS": "ada", "OPERATORS": "oscar", "AUDITORS": "audrey", "VIEWERS": "vera"}
ROLES = dict(zip(LISTS.values(), ("admin", "operator", "auditor", "viewer"), strict=True))


def mail(name: str) -> str:
    return f"{name}@example.org"


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    """Where the provider describes itself."""
    port = free_port()
    users = [{"sub": name, "email": mail(name), "email_verified": True} for name in PEOPLE]
    users.append({"sub": "eve", "email": mail("ada"), "email_verified": False})
    users.append({"sub": "bob", "email": mail("ada")})
    users.append({"sub": "gus", "email": mail("gus"), "email_verified": True, "groups": ["staff", "desk"]})
    claims = [word for user in users for word in ("--user-claims", json.dumps(user))]
    process = subprocess.Popen(
        [sys.executable, "-m", "oidc_provider_mock", "--port", str(port), *claims],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}/.well-known/openid-configuration"
    try:
        end = time.monotonic() + START_S
        while True:
            try:
                urlopen(address, timeout=2).close()
                break
            except (URLError, ConnectionError):
                assert process.poll() is None
                assert time.monotonic() < end
                time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait(10)


@contextmanager
def signing_in(home: Path, url: str, provider: str, **environment: str) -> Iterator[Launched]:
    port = free_port()
    settings = {
        "DATABASE_URL": url,
        "PARTITION_DESK_OPEN": "",
        "PARTITION_DESK_SAMPLE": "false",
        "PARTITION_DESK_OIDC_URL": provider,
        "PARTITION_DESK_OIDC_CLIENT_ID": "desk",
        "PARTITION_DESK_OIDC_CLIENT_SECRET": "not a secret",
        "PARTITION_DESK_ROLE_CLAIM": "groups",
        "PARTITION_DESK_URL": f"http://127.0.0.1:{port}",
        **{f"PARTITION_DESK_{name}": mail(person) for name, person in LISTS.items()},
        "PARTITION_DESK_OPERATORS": f"{mail('oscar')}, groups=desk",
    }
    with launched(home, port, **{**settings, **environment}) as desk:
        desk.wait_for("^Partition Desk is at")
        yield desk


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Signs somebody in, in a browser of their own."""
    contexts: list[BrowserContext] = []

    def go(desk: Launched, name: str) -> Page:
        contexts.append(browser.new_context(viewport={"width": 1300, "height": 1000}))
        page = contexts[-1].new_page()
        page.goto(f"http://127.0.0.1:{desk.port}/")
        expect(page.get_by_text("kid_absences")).to_have_count(0)
        page.get_by_role("link", name="Sign in").click()
        page.get_by_role("button", name=name, exact=True).click(no_wait_after=True)
        return page

    yield go
    for context in contexts:
        context.close()


def test_roles_strangers_a_role_taken_away_and_signing_out(
    tmp_path: Path, database_url: str, provider: str, absences: Made, visit: Callable[..., Page], run: Run
) -> None:
    admins = tmp_path / "admins"
    admins.write_text(f"{mail('ada')}\n")
    with signing_in(tmp_path, database_url, provider, PARTITION_DESK_ADMINS=f"@{admins}") as desk:
        assert desk.get("/_stcore/host-config")[0] == 403
        for name in ("eve", "bob"):  # an address that is said and not verified is nobody's
            page = visit(desk, name)
            expect(page.get_by_text("The sign-in does not say who you are")).to_be_visible(timeout=PATIENCE_MS)
        for name, role in {**ROLES, "gus": "operator"}.items():
            page = visit(desk, name)
            here = re.compile(f"You are here as {name}@\\W?example.org, {role}")
            expect(page.get_by_text(here)).to_be_visible(timeout=PATIENCE_MS)
            page.goto(f"http://127.0.0.1:{desk.port}/archive")
            review = button(page, "Review archive").first
            expect(review).to_be_visible(timeout=PATIENCE_MS)
            expect(review).to_be_enabled() if role == "admin" else expect(review).to_be_disabled()
            if name == "gus":  # whose role is a group's, also where the worker does what was asked for
                page.goto(f"http://127.0.0.1:{desk.port}/partitions")
                button(page, f"Ensure {THIS_YEAR + 2}").click(timeout=PATIENCE_MS)
                expect(page.get_by_text("is done, in").first).to_be_visible(timeout=PATIENCE_MS)
        ((actor, role, origin, known),) = run("SELECT actor, role, origin, verified FROM partition_desk.operation")
        assert (actor, role, origin) == (mail("gus"), "operator", "dashboard")
        assert known.startswith('by a provider of OpenID Connect; by ["groups=desk"] until ')
        expect(visit(desk, "mallory").get_by_text("has no role here")).to_be_visible(timeout=PATIENCE_MS)

        one = visit(desk, "ada")
        expect(button(one, "Sign out")).to_be_visible(timeout=PATIENCE_MS)
        two = one.context.new_page()
        two.goto(f"http://127.0.0.1:{desk.port}/archive")
        expect(button(two, "Review archive").first).to_be_enabled(timeout=PATIENCE_MS)
        admins.write_text("")  # a role that is taken away while both are open
        for page in (one, two):
            expect(page.get_by_text("has no role here")).to_be_visible(timeout=PATIENCE_MS)
            expect(page.get_by_text("kid_absences")).to_have_count(0)
        admins.write_text(f"{mail('ada')}\n")
        for page in (one, two):
            page.reload()
            expect(button(page, "Sign out")).to_be_visible(timeout=PATIENCE_MS)
        stolen = "; ".join(f"{cookie['name']}={cookie['value']}" for cookie in one.context.cookies())
        assert desk.get("/", Cookie=stolen)[0] == 200
        button(one, "Sign out").click()
        expect(two.get_by_text("Your sign-in has ended.")).to_be_visible(timeout=PATIENCE_MS)
        expect(two.get_by_text("kid_absences")).to_have_count(0)
        assert desk.get("/", Cookie=stolen)[0] == 403  # a copy of the cookie is worth nothing either
        two.reload()
        expect(two.get_by_role("link", name="Sign in")).to_be_visible(timeout=PATIENCE_MS)
        assert desk.stop() == 0
