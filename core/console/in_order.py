"""Several confirmed plans, put into the queue one after the other, each once the one before it has ended."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from core.console.journal import OperationState, read_operation
from core.errors import Asked, ConnectionFailed, DeskError

if TYPE_CHECKING:
    from core.console.actor import Actor
    from core.console.desk import Desk
    from core.plans.plan import Plan

log = logging.getLogger(__name__)

LOOK_S = 0.3
"""How often it looks whether the one that runs has ended."""


@dataclass(slots=True)
class InOrder:
    """Plans that were confirmed together, and how far they are. The row of each is written when its turn comes.

    Where this process ends, what was not begun is not done; asking again goes on with it.
    """

    plans: tuple[Plan, ...]
    actor: Actor
    reason: str
    go_on: bool
    """Whether one that fails does not end the rest."""
    begun: int = 0
    failed: list[str] = field(default_factory=list)
    """What became of those that were not done, a sentence each."""
    over: bool = False

    @property
    def left(self) -> int:
        """How many were not begun."""
        return len(self.plans) - self.begun


def do_in_order(
    desk: Desk, several: InOrder, stop: threading.Event, wake: Callable[[], None], told: Callable[[int], None]
) -> threading.Thread:
    """Begins with the first, in a thread of its own; `told` hears the number of each as it is asked for."""
    thread = threading.Thread(
        target=_go, args=(desk, several, stop, wake, told), daemon=True, name="partition-desk-in-order"
    )
    thread.start()
    return thread


def _go(
    desk: Desk, several: InOrder, stop: threading.Event, wake: Callable[[], None], told: Callable[[int], None]
) -> None:
    try:
        for plan in several.plans:
            if stop.is_set():
                return
            several.begun += 1
            failed = _one(desk, plan, several, stop, wake, told)
            if failed:
                several.failed.append(f"{plan.subject}: {failed}")
                if not several.go_on:
                    return
    finally:
        several.over = True


def _one(
    desk: Desk,
    plan: Plan,
    several: InOrder,
    stop: threading.Event,
    wake: Callable[[], None],
    told: Callable[[int], None],
) -> str:
    """Has it done, and waits for its end; what was in the way, or empty."""
    try:
        ticket = desk.enqueue(plan, several.actor, several.reason)
    except Asked:
        return ""  # it waits for another person, which is no failure
    except DeskError as error:
        log.info("One of several is not begun: %s", error)
        return str(error)
    told(ticket.id)
    wake()
    while not stop.wait(LOOK_S):
        try:
            found = read_operation(desk.working, ticket.id)
        except ConnectionFailed:
            continue  # once the server is back
        if found is None or not found.state.active:
            done = found is not None and found.state is OperationState.DONE
            return "" if done else (found.error if found else "") or "it was not done"
    return ""
