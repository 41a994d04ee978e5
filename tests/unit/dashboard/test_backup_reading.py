"""The backups that a page knows: read behind its back, one reading at a time, and never waited for for long."""

from __future__ import annotations

import threading
import time

from core.backups.kept import Backups
from dashboard.state.backup_reading import BackupReading


class Place:
    """Answers when it is let."""

    def __init__(self) -> None:
        self.asked = 0
        self.answer = threading.Event()

    def read(self) -> Backups:
        self.asked += 1
        self.answer.wait(20)
        return Backups(f"reading {self.asked}", ())


def arrived(reading: BackupReading, number: int) -> None:
    give_up = time.monotonic() + 20
    while reading.look(0).number < number:
        assert time.monotonic() < give_up
        time.sleep(0.01)


def test_a_place_that_does_not_answer_is_asked_once() -> None:
    place = Place()
    reading = BackupReading(place.read)
    for _ in range(3):
        shelf = reading.look(0.01)
        assert (shelf.backups, shelf.reading, shelf.number) == (None, True, 0)
    assert place.asked == 1
    place.answer.set()
    arrived(reading, 1)
    found = reading.look(0).backups
    assert found is not None
    assert found.place == "reading 1"
    assert place.asked == 1  # fresh enough


def test_what_is_known_stays_until_it_was_read_again() -> None:
    place = Place()
    place.answer.set()
    reading = BackupReading(place.read)
    assert reading.look(20).number == 1
    place.answer.clear()
    reading.forget()
    shelf = reading.look(0)
    assert shelf.reading
    assert shelf.backups is not None
    assert shelf.backups.place == "reading 1"
    reading.forget()  # what changes while it is read is read once more
    place.answer.set()
    arrived(reading, 3)
    shelf = reading.look(20)
    assert shelf.backups is not None
    assert shelf.backups.place == "reading 3"
