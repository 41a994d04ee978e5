"""The register of operations: each has one room, and all that belongs to it is reached from there."""

from __future__ import annotations

import dataclasses

import pytest

from core.console.register import ROOMS, Room, named, room
from core.plans.operation import Danger, Operation


def test_each_operation_has_one_room() -> None:
    names = [one.operation.name for one in ROOMS]
    assert sorted(names) == sorted(set(names))
    assert [room(one.operation) for one in ROOMS] == list(ROOMS)
    assert [named(name) for name in names] == [one.operation for one in ROOMS]


def test_what_is_no_operation_has_none() -> None:
    with pytest.raises(KeyError):
        named("vacuum")


@pytest.mark.parametrize("one", ROOMS, ids=lambda one: one.operation.name)
def test_a_room_is_whole(one: Room) -> None:
    operation = one.operation
    assert one.wishes
    assert all(wish.operation is operation and dataclasses.is_dataclass(wish) for wish in one.wishes)
    assert (one.work is not None) is operation.moves_files
    assert not operation.destroys or operation.danger is Danger.TYPED_NAME
    assert operation.verb[0].isupper()
    assert str(operation) == operation.name


def test_operations_are_told_apart_by_their_names_alone() -> None:
    other = dataclasses.replace(ROOMS[0].operation, verb="Other")
    assert other == ROOMS[0].operation
    assert isinstance(other, Operation)
    assert other != ROOMS[1].operation
