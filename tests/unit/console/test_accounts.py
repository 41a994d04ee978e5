"""Accounts: kept for their owner alone, told by nothing, and ended with their password."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from core.console import accounts
from core.errors import Refused, SettingError
from core.settings import Settings, read_settings
from dashboard import password
from dashboard.password import LATER, WRONG, Passwords, is_ours

GOOD = "correct horse battery"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return read_settings(
        {"PARTITION_DESK_HOME": str(tmp_path), "PARTITION_DESK_ACCOUNTS": "true", "PARTITION_DESK_ADMINS": "anna"}
    )


def form(name: str = "anna", word: str = GOOD) -> bytes:
    return f"name={name}&password={word.replace(' ', '+')}".encode()


def test_an_account_from_its_beginning_to_its_end(settings: Settings) -> None:
    assert accounts.names(settings) == ()
    accounts.set_password(settings, "anna", GOOD, new=True)
    path = settings.home / "accounts"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert GOOD not in path.read_text()
    assert "$argon2id$" in path.read_text()
    assert accounts.verified(settings, "anna", GOOD)
    for name, word in (("anna", "another"), ("bert", GOOD), ("", ""), ("ANNA", GOOD)):
        assert not accounts.verified(settings, name, word)
    before = accounts.mark(settings, "anna")
    accounts.set_password(settings, "anna", "a new one, longer", new=False)
    assert before != accounts.mark(settings, "anna") != ""
    assert not accounts.verified(settings, "anna", GOOD)
    accounts.remove(settings, "anna")
    assert accounts.mark(settings, "anna") == ""
    assert accounts.names(settings) == ()


@pytest.mark.parametrize(
    ("name", "word", "new", "message"),
    [
        ("anna", "short", True, "has 5 characters"),
        ("a,b", GOOD, True, "is no name"),
        (" a", GOOD, True, "is no name"),
        ("@people", GOOD, True, "is no name"),
        ("*", GOOD, True, "is no name"),
        ("bert", GOOD, False, "There is no account bert"),
    ],
)
def test_what_is_no_account(settings: Settings, name: str, word: str, new: bool, message: str) -> None:
    with pytest.raises(Refused, match=message):
        accounts.set_password(settings, name, word, new=new)
    assert accounts.names(settings) == ()


def test_a_file_that_others_may_read_is_not_believed(settings: Settings) -> None:
    accounts.set_password(settings, "anna", GOOD, new=True)
    (settings.home / "accounts").chmod(0o640)
    with pytest.raises(SettingError, match="Others than the user of this console"):
        accounts.verified(settings, "anna", GOOD)


def test_a_sign_in_ends_with_its_password_its_account_or_itself(settings: Settings) -> None:
    accounts.set_password(settings, "anna", GOOD, new=True)
    passwords = Passwords(settings)

    def come() -> str:
        found = passwords.sign_in(form(), "10.0.0.1")
        assert not isinstance(found, str)
        assert passwords.visitor(found[0]) == ("anna", found[1])
        return found[0]

    assert passwords.visitor("") is None
    first, second = come(), come()
    passwords.sign_out(first)
    assert passwords.visitor(first) is None
    assert passwords.visitor(second) is not None
    accounts.set_password(settings, "anna", GOOD, new=False)
    assert passwords.visitor(second) is None
    third = come()
    accounts.remove(settings, "anna")
    assert passwords.visitor(third) is None


def test_who_tries_too_often_waits(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(password.time, "monotonic", lambda: now[0])
    accounts.set_password(settings, "anna", GOOD, new=True)
    passwords = Passwords(settings)
    for _ in range(5):
        assert passwords.sign_in(form(word="wrong"), "10.0.0.1") == WRONG
    assert passwords.sign_in(form(), "10.0.0.2") == LATER.format(seconds=3)  # by name, from wherever
    assert passwords.sign_in(form("bert"), "10.0.0.1") == LATER.format(seconds=3)  # by address, of whomever
    now[0] = 2.5
    assert passwords.sign_in(form(word="wrong"), "10.0.0.3") == WRONG
    assert passwords.sign_in(form(), "10.0.0.3") == LATER.format(seconds=5)
    now[0] = 1000.0
    assert not isinstance(passwords.sign_in(form(), "10.0.0.1"), str)
    for body in (b"", b"\xff=1", b"name=anna", b"&" * 100, b"a=1&b=2&c=3&d=4&e=5"):
        assert passwords.sign_in(body, "10.0.0.9") == WRONG


def test_a_form_comes_from_a_page_of_ours() -> None:
    assert is_ours("http://127.0.0.1:8501", "127.0.0.1:8501")
    for origin in (None, "", "null", "http://evil.example", "http://127.0.0.1:8502"):
        assert not is_ours(origin, "127.0.0.1:8501")
