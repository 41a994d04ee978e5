"""The fingerprint of rows: the same on every server and setting, another after every change."""

from __future__ import annotations

import psycopg2
import pytest
from sqlalchemy import Engine, create_engine

from core.postgres.connection import parse_url, working_engine
from core.tables.fingerprint import SETTINGS, fingerprint, fingerprint_sql, require_fingerprint_sql
from tests.binaries import NotHere
from tests.db.backups.walks import fingerprint_of
from tests.servers import GIVEN, MAJORS, Database, Servers, connect
from tests.tables import Run, runner

SOME = """
CREATE TABLE public.some AS SELECT g AS id, 'text ' || g AS t, now() AS at, (0.1 * g)::float8 AS f,
    (g / 3.0)::real AS r, g::numeric / 7 AS n, make_interval(months => g, secs => g * 1.5) AS i,
    date '2024-02-28' + g AS d,
    '\\x00ff'::bytea AS b, g::numeric::money AS m, ARRAY[g, NULL] AS a, json_build_object('a', g) AS j
FROM generate_series(1, 200) g;
UPDATE public.some SET at = timestamptz '2024-03-31 01:30+00' + id * interval '10 min';
ALTER TABLE public.some ADD PRIMARY KEY (id)
"""


def test_the_fingerprint_is_the_same_everywhere(servers: Servers, database_url: str, worker: Engine, run: Run) -> None:
    if GIVEN:
        pytest.skip("there is one server only")
    run(SOME)
    expected = fingerprint_of(worker, "public.some")
    database = parse_url(database_url).database
    for setting in (
        "TimeZone = 'Asia/Kathmandu'",
        "DateStyle = 'German, DMY'",
        "extra_float_digits = -3",
        "IntervalStyle = 'sql_standard'",
        "bytea_output = 'escape'",
    ):
        run(f"ALTER DATABASE {database} SET {setting}")
        engine = create_engine(parse_url(database_url), isolation_level="AUTOCOMMIT")
        assert fingerprint_of(engine, "public.some") == expected
        engine.dispose()
    run("CREATE TABLE public.shuffled AS SELECT * FROM public.some ORDER BY hashint4(id)")
    assert fingerprint_of(worker, "public.shuffled") == expected
    for major in MAJORS[1:]:
        try:
            other = Database(servers.url(major), "fingerprint")
        except NotHere:
            continue
        engine = working_engine(parse_url(other.url))
        connection = connect(other.url)
        runner(connection)(SOME)
        assert fingerprint_of(engine, "public.some") == expected
        connection.close()
        engine.dispose()
        other.drop()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE public.some s SET t = o.t FROM public.some o WHERE (s.id, o.id) IN ((3, 7), (7, 3))",
        "UPDATE public.some SET n = n * 1.0",
        "UPDATE public.some SET i = interval '30 days' WHERE id = 1",
        "UPDATE public.some SET j = '{\"a\":  1}' WHERE id = 1",
        "UPDATE public.some SET a = '{}' WHERE id = 1",
        "DELETE FROM public.some WHERE id = 1",
        "INSERT INTO public.some SELECT 201, t, at, f, r, n, i, d, b, m, a, j FROM public.some WHERE id = 1",
    ],
)
def test_every_change_shows(worker: Engine, run: Run, change: str) -> None:
    run(SOME)
    expected = fingerprint_of(worker, "public.some")
    run(change)
    assert fingerprint_of(worker, "public.some") != expected


def test_a_required_fingerprint(worker: Engine, run: Run) -> None:
    run(SOME)
    names = ["id", "t"]
    rows, total = run(f"{'; '.join(SETTINGS)}; {fingerprint_sql('public.some', names)}")[0]
    message = 'it\'s \\ 100% "changed" $desk$'
    require = require_fingerprint_sql('"public"."some"', names, fingerprint(rows, total), message)
    run(require)
    run("UPDATE public.some SET t = 'x' WHERE id = 5")
    with pytest.raises(psycopg2.Error) as caught:
        run(require)
    assert (caught.value.pgcode, caught.value.diag.message_primary) == ("PD001", message)
