"""The school that the demo invents: its kids by year, its days, and who is absent on them.

The same day gives the same rows: they come from arithmetic and PostgreSQL's own hash functions, none from chance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date, timedelta

from core.names import literal

PAST_YEARS = 8
"""Years before this one: the oldest archived by hand, two by the console, the others attached."""

_FIRST = (
    "Ada Ben Cleo Dario Elif Finn Greta Hana Ivo Jonna Kofi Lale Mika Nora Oskar Paula Quirin Rosa Samir Tilda Uma Vito"
    " Wanda Xenia Yara Zeno Amadou Bao Carlotta Deniz Emre Fatima Gustav Hilda Ilias Jule Kian Lotte Matteo Noor"
)
_LAST = (
    "Alder Birkland Castellan Dornfeld Emberly Farnholt Grauwinkel Hollerbek Iverdal Jasmund Kestrel Lindqvast Marlowen"
    " Nettelhorst Oakhurst Pellering Quillfeather Rosenhag Silberbach Tannwald Ulmenau Vanterpool Weidengrund Xanthou"
    " Yarrowby Zirbelkamp Amsel Brombeer Drosselby Elderton Fjordholm Ginsterfeld Haselmoor Immergruen Juniper Kornrade"
)


def names(kids: int) -> str:
    """The INSERT of as many kids, with names put together from two lists."""
    first = f"pg_catalog.string_to_array('{_FIRST}', ' ')"
    last = f"pg_catalog.string_to_array('{_LAST}', ' ')"
    count = len(_FIRST.split()), len(_LAST.split())
    return f"""
    INSERT INTO public.kids (name)
    SELECT ({first})[1 + n % {count[0]}] || ' ' || ({last})[1 + (n * 7 + n / {count[0]}) % {count[1]}]
    FROM pg_catalog.generate_series(1, {kids}) n ORDER BY n
    """


_KIDS_AT_FIRST = 2_400
_GROWTH = 1.08
_LEAVERS = 6
"""Each year a sixth of the kids leaves."""
_DAYS_PER_SPELL = 2.0
_FEWER = {2020: 0.62, 2021: 0.68}


def enrolled(number: int) -> range:
    """The ids of the kids who are there in the `number`-th year, from 0 on."""
    sizes = [round(_KIDS_AT_FIRST * _GROWTH**n) for n in range(number + 1)]
    gone = sum(size // _LEAVERS for size in sizes[:-1])
    return range(gone + 1, gone + sizes[-1] + 1)


def school_days(year: int) -> tuple[date, ...]:
    """Monday to Friday, without July and August, two weeks at Christmas and two at Easter."""
    first = date(year, 1, 1)
    easter = _easter(year)
    days = (first + timedelta(days=n) for n in range((date(year + 1, 1, 1) - first).days))
    return tuple(
        day
        for day in days
        if day.weekday() < 5
        and day.month not in (7, 8)
        and date(year, 1, 6) <= day < date(year, 12, 22)
        and not easter - timedelta(days=6) <= day <= easter + timedelta(days=5)
    )


def _easter(year: int) -> date:
    """Easter Sunday. Source: the anonymous Gregorian algorithm (Nature, 1876)."""
    century, rest = divmod(year, 100)
    golden = year % 19
    shift = century - century // 4 - (century - (century + 8) // 25 + 1) // 3 + 15 + 19 * golden
    epact = shift % 30
    weekday = (32 + 2 * (century % 4) + 2 * (rest // 4) - epact - rest % 4) % 7
    late = (golden + 11 * epact + 22 * weekday) // 451
    month, day = divmod(epact + weekday - 7 * late + 114, 31)
    return date(year, month, day + 1)


def _absent_share(day: date) -> float:
    """The part of all kids whose absence begins or goes on that day: more in winter, most in the year's flu wave."""
    year, number = day.year, day.timetuple().tm_yday
    peak = 24 + year * 37 % 41  # between late January and early March
    height = 0.15 if year in _FEWER else 0.7 + year * 29 % 10 / 10
    season = 0.75 + 0.3 * math.cos(2 * math.pi * (number - 20) / 365)
    season += height * math.exp(-(((number - peak) / 13) ** 2)) + 0.45 * math.exp(-(((number - 327) / 18) ** 2))
    weekday = (1.12, 0.97, 0.93, 0.96, 1.06)[day.weekday()]
    return 0.078 * season * weekday * _FEWER.get(year, 1.0)


# A spell is one kid's absence on one school day or several in a row; n numbers the spells that begin on a day. Bits of
# one hash decide who, why, how long and with which note. Two spells of a kid that meet give the day once.
_ROWS = """
INSERT INTO public.kid_absences (kid_id, date, reason, half_day, note, created_at)
WITH day AS MATERIALIZED (
    SELECT * FROM ROWS FROM (pg_catalog.unnest({days}::date[]), pg_catalog.unnest({starts}::int[]))
        WITH ORDINALITY d (date, starts, place)
), hashed AS (
    SELECT d.place, n, pg_catalog.hashint8extended(d.place * 100000 + n, {year}) AS h
    FROM day d, pg_catalog.generate_series(1, d.starts) n
), spell AS (
    SELECT place, h, {first_kid} + ((h & 1073741823) % {kids})::int AS kid_id,
        CASE WHEN (h >> 30 & 127) < 94 THEN 'sick' WHEN (h >> 30 & 127) < 112 THEN 'appointment'
            WHEN (h >> 30 & 127) < 121 THEN 'family' ELSE 'other' END AS reason,
        CASE WHEN (h >> 30 & 127) >= 94 OR (h >> 37 & 127) < 45 THEN 1 WHEN (h >> 37 & 127) < 81 THEN 2
            WHEN (h >> 37 & 127) < 104 THEN 3 WHEN (h >> 37 & 127) < 115 THEN 4 ELSE 5 END AS length
    FROM hashed
), absence AS (
    SELECT DISTINCT ON (d.place, s.kid_id) d.date, s.kid_id, s.reason, s.h, i
    FROM spell s CROSS JOIN pg_catalog.generate_series(0, s.length - 1) i JOIN day d ON d.place = s.place + i
    ORDER BY d.place, s.kid_id, i, s.h
)
SELECT kid_id, date, reason, reason = 'appointment' AND h >> 44 & 3 > 0,
    CASE WHEN i > 0 THEN NULL
        WHEN reason = 'sick' AND h >> 46 & 127 < 2 THEN 'Certificate, scanned (base64): ' || (
            SELECT pg_catalog.string_agg(pg_catalog.encode(pg_catalog.sha512((h + p)::text::bytea), 'base64'), '')
            FROM pg_catalog.generate_series(1, 35 + (h >> 53 & 63)::int) p)
        WHEN h >> 46 & 127 < 24 THEN CASE reason {notes} END END,
    (date + time '05:30' + (h >> 54 & 127) * interval '1 minute') AT TIME ZONE 'UTC'
FROM absence ORDER BY date, kid_id
"""

_NOTES = {
    "sick": (
        "Called in by the mother.",
        "Called in by the father.",
        "E-mail from home, answered.",
        "Fever since last night, will see the doctor today and call again tomorrow morning.",
        "Picked up at 11:00, did not feel well.",
        "Stomach bug; siblings stay at home, too.",
        "Back tomorrow if there is no more fever.",
    ),
    "appointment": ("Dentist.", "Eye test, back by noon.", "Hospital, check-up.", "Speech therapy."),
    "family": ("Wedding, agreed upon with the class teacher.", "Funeral.", "Moving house."),
    "other": ("No word from home yet; called twice and left a message.", "Train strike.", "Exchange programme."),
}


def starts_on(days: Sequence[date], kids: range) -> list[int]:
    """How many spells begin on each of those school days."""
    return [round(len(kids) * _absent_share(day) / _DAYS_PER_SPELL) for day in days]


def absences_of(year: int, days: Sequence[date], kids: range) -> str:
    """The INSERT of one year's absences on those school days."""
    starts = starts_on(days, kids)
    return _ROWS.format(
        year=year,
        days=literal("{" + ",".join(day.isoformat() for day in days) + "}"),
        starts=literal("{" + ",".join(str(count) for count in starts) + "}"),
        first_kid=kids.start,
        kids=len(kids),
        notes=" ".join(_note_case(reason, notes) for reason, notes in _NOTES.items()),
    )


def _note_case(reason: str, notes: Sequence[str]) -> str:
    choice = f"(ARRAY[{', '.join(literal(note) for note in notes)}])[1 + (h >> 53 & 1023) % {len(notes)}]"
    return f"WHEN {literal(reason)} THEN {choice}"
