"""Who has which role: by the lists of the settings, read at each look, and never by what a variable or a row says."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import Any

import pytest

from core.console.actor import Actor, Origin, as_of_now, person, role_of, system_user
from core.errors import NotAllowed, SettingError
from core.plans.operation import Role
from core.settings import read_settings

PEOPLE = {
    "PARTITION_DESK_ADMINS": "ada, Ada@Example.org",
    "PARTITION_DESK_OPERATORS": "oscar",
    "PARTITION_DESK_AUDITORS": "audrey",
    "PARTITION_DESK_VIEWERS": "vera",
}


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("ada", Role.ADMIN),
        ("ada@example.ORG", Role.ADMIN),
        ("oscar", Role.OPERATOR),
        ("audrey", Role.AUDITOR),
        ("vera", Role.VIEWER),
        ("ADA", None),
        ("", None),
        ("*", None),
        ("@/etc/passwd", None),
        ("mallory", None),
    ],
)
def test_a_name_has_the_role_of_its_list(name: str, role: Role | None) -> None:
    assert role_of(read_settings(PEOPLE), name) is role


def test_where_nobody_is_named_who_has_got_in_may_all() -> None:
    assert role_of(read_settings({}), "anybody") is Role.ADMIN


def test_everybody_may_be_a_viewer_and_no_more() -> None:
    assert role_of(read_settings({**PEOPLE, "PARTITION_DESK_VIEWERS": "*"}), "mallory") is Role.VIEWER
    assert role_of(read_settings({**PEOPLE, "PARTITION_DESK_VIEWERS": "*"}), "oscar") is Role.OPERATOR
    for name in ("ADMINS", "OPERATORS", "AUDITORS"):
        with pytest.raises(SettingError, match=rf"PARTITION_DESK_{name} is \*: everybody"):
            read_settings({f"PARTITION_DESK_{name}": "*"})


@pytest.mark.parametrize(
    ("text", "message"), [("a\x07b", "which is no name"), ("x" * 255, "which is no name"), ("@people", "no whole path")]
)
def test_what_is_no_name_is_refused_with_its_variable(text: str, message: str) -> None:
    with pytest.raises(SettingError, match=f"PARTITION_DESK_ADMINS.*{message}"):
        read_settings({"PARTITION_DESK_ADMINS": text})


def test_a_name_in_two_lists_is_refused() -> None:
    settings = read_settings({**PEOPLE, "PARTITION_DESK_VIEWERS": "ada"})
    with pytest.raises(SettingError, match="ada is named as admin and as viewer"):
        role_of(settings, "ada")


def test_a_list_in_a_file_is_read_anew_each_time(tmp_path: Path) -> None:
    people = tmp_path / "admins"
    settings = read_settings({"PARTITION_DESK_ADMINS": f"root, @{people}"})
    with pytest.raises(SettingError, match=r"PARTITION_DESK_ADMINS: .*admins can't be read: No such file"):
        role_of(settings, "ada")
    people.write_text("# the office\nada\n\nbert, carla # both\n")
    assert [role_of(settings, name) for name in ("ada", "carla", "root", "# the office")] == [Role.ADMIN] * 3 + [None]
    people.write_text("bert\n")
    assert role_of(settings, "ada") is None
    people.write_bytes(b"\xff\xfe")
    with pytest.raises(SettingError, match="not text in UTF-8"):
        role_of(settings, "ada")


def test_who_has_no_role_is_told_where_roles_are_given() -> None:
    with pytest.raises(NotAllowed, match=r"mallory has no role here.*PARTITION_DESK_ADMINS"):
        person(read_settings(PEOPLE), "mallory", Origin.DASHBOARD)


@pytest.mark.parametrize(
    ("said", "left"),
    [
        (Actor("vera", Role.ADMIN, Origin.DASHBOARD), Role.VIEWER),
        (Actor("ada", Role.VIEWER, Origin.COMMAND_LINE), Role.VIEWER),
        (Actor("ada", Role.ADMIN, Origin.SCHEDULE), Role.ADMIN),
        (Actor("no one", Role.OPERATOR, Origin.START_UP), Role.OPERATOR),
        (Actor("no one", Role.ADMIN, Origin.START_UP), Role.OPERATOR),
    ],
)
def test_what_an_actor_says_of_itself_is_never_more_than_the_settings(said: Actor, left: Role) -> None:
    assert as_of_now(read_settings(PEOPLE), said).role is left


def test_who_runs_it_is_who_the_system_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "ada")
    assert system_user() == pwd.getpwuid(os.getuid()).pw_name

    def nobody(_: int) -> Any:
        raise KeyError

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    assert system_user() == f"uid {os.getuid()}"
