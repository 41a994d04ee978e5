"""Several acts in one command: planned before the first is done, summed up, stopped or gone on with at a failure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from tests.road import Road
from tests.tables import Made

Make = Callable[..., Made]

REFUSE = """
CREATE FUNCTION public.refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
    IF EXISTS (SELECT FROM pg_event_trigger_ddl_commands() WHERE object_identity LIKE '%kid_absences_2021%') THEN
        RAISE 'not that one';
    END IF;
END $$;
CREATE EVENT TRIGGER refuse ON ddl_command_end EXECUTE FUNCTION public.refuse();
"""


def archived(road: Road, made: Made) -> list[str]:
    return sorted(one.name for one in road.read(made).archived)


def test_several_are_archived_in_order_and_come_back(road: Road, make_table: Make) -> None:
    made = make_table(start=date(2020, 1, 1), count=4)
    table = ("--table", made.address)
    dry = road.done("archive", "--year", "2021", "2020", "--dry-run", *table)
    assert dry.out.startswith("-- Archive 2 partitions: ")
    assert "\n-- SHARE UPDATE EXCLUSIVE on public.kid_absences: " in dry.out.replace('"', "")
    assert dry.out.index("-- archive kid_absences_2021") < dry.out.index("-- archive kid_absences_2020")
    assert dry.out.endswith("-- Of 2 acts: 2 planned.\n")
    assert archived(road, made) == []

    done = road.done("archive", "--year", "2021", "2020", "--year", "2021", "--reason", "is over", *table)
    assert [line.split(":")[0] for line in done.out.splitlines() if ": done (operation " in line] == [
        "kid_absences_2021",
        "kid_absences_2020",
    ]
    assert done.out.endswith("Of 2 acts: 2 done.\n")
    assert archived(road, made) == ["kid_absences_2020", "kid_absences_2021"]

    again = road.done("archive", "--year", "2021", "2020", *table)
    assert again.out.startswith("kid_absences_2021: nothing to do. kid_absences_2021 is archived already")
    assert again.out.endswith("Of 2 acts: 2 nothing to do.\n")

    back = road.done("reattach", "--partition", "kid_absences_2021", "kid_absences_2020", "--json", *table).json
    assert [(one["partition"], one["state"], one["operation"]["kind"]) for one in back] == [
        ("kid_absences_2021", "done", "reattach"),
        ("kid_absences_2020", "done", "reattach"),
    ]
    assert archived(road, made) == []


def test_one_that_is_refused_is_told_before_anything_is_done(road: Road, make_table: Make) -> None:
    made = make_table(start=date(2020, 1, 1), count=2)
    words = ("archive", "--year", "2020", "1999", "2021", "--table", made.address)
    stopped = road(*words)
    assert (stopped.code, archived(road, made)) == (1, [])
    assert stopped.err.startswith("1999: public.kid_absences has no partition for 1999.")
    assert stopped.out.endswith(
        "Of 3 acts: 1 refused, 2 not tried. The same command goes on with what is left.\n",
    )
    gone_on = road(*words, "--go-on", "--json")
    assert gone_on.code == 1
    assert [(one["partition"], one["state"]) for one in gone_on.json] == [
        ("kid_absences_2020", "done"),
        ("1999", "refused"),
        ("kid_absences_2021", "done"),
    ]
    assert "has no partition for 1999" in gone_on.json[1]["error"]
    assert archived(road, made) == ["kid_absences_2020", "kid_absences_2021"]


def test_one_that_fails_ends_it_or_not_as_chosen(road: Road, make_table: Make) -> None:
    made = make_table(start=date(2020, 1, 1), count=3)
    road.run(REFUSE)
    words = ("archive", "--year", "2020", "2021", "2022", "--table", made.address)
    stopped = road(*words)
    assert (stopped.code, archived(road, made)) == (1, ["kid_absences_2020"])
    assert "kid_absences_2021: " in stopped.err
    assert "not that one" in stopped.err
    assert "Of 3 acts: 1 done, 1 failed, 1 not tried. The same command goes on" in stopped.out
    gone_on = road(*words, "--go-on")
    assert (gone_on.code, archived(road, made)) == (1, ["kid_absences_2020", "kid_absences_2022"])
    assert "Of 3 acts: 1 done, 1 nothing to do, 1 failed." in gone_on.out


def test_all_that_are_due(road: Road, make_table: Make) -> None:
    made = make_table(start=date(2020, 1, 1), count=3)
    road.run(f"ANALYZE {made.sql}")
    table = ("--table", made.address)
    road.done("hold", "--year", "2021", "--reason", "the audit", *table)
    due = road.done("archive", "--due", "--json", *table, PARTITION_DESK_ARCHIVE_AFTER="2y").json
    assert [one["partition"] for one in due] == ["kid_absences_2020", "kid_absences_2022"]
    assert road.done("archive", "--due", *table, PARTITION_DESK_ARCHIVE_AFTER="2y").out == (
        "Nothing to do: none is due.\n"
    )

    road.back_up(made, "kid_absences_2022", proven=False)
    done = road.done("backup", "--due", *table)
    assert done.out.startswith("Back up 1 partition: about 20 rows, ")
    assert road.done("backup", "--due", "--json", *table).json == []

    first = next(kept for kept in road.every() if kept.backup.name == "kid_absences_2020")
    planned = road.done("verify", "--due", "--dry-run", "--json", *table).json
    assert [(one["partition"], one["state"]) for one in planned] == [
        ("kid_absences_2020", "planned"),
        ("kid_absences_2022", "planned"),
    ]
    road.prove(first.backup.id)
    proven = road.done("verify", "--due", *table)
    assert "kid_absences_2022: done (operation " in proven.out
    assert road.done("verify", "--due", *table).out == "Nothing to do: none is due.\n"
