"""Plain tables that are converted: a small one, and one with everything that can hang on a table."""

from __future__ import annotations

from core.names import ident
from tests.tables import Run


def plain(run: Run, name: str = "kid_absences", key_type: str = "date", years: tuple[int, ...] = (2019, 2021)) -> None:
    run(
        f"CREATE TABLE {ident(name)} (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, kid_id bigint NOT NULL,"
        f" date {key_type} NOT NULL, reason text DEFAULT 'ill', UNIQUE (kid_id, date))"
    )
    run(f"CREATE INDEX ON {ident(name)} (date)")
    for year in years:
        run(
            f"INSERT INTO {ident(name)} (kid_id, date) SELECT g, '{year}-01-01'::date + g * 3"
            " FROM generate_series(0, 120) g"
        )


EVERYTHING = """
CREATE SCHEMA other;
CREATE TYPE mood AS ENUM ('sad', 'ill');
CREATE DOMAIN short AS text CHECK (length(VALUE) < 100);
CREATE TABLE kids (id bigint PRIMARY KEY, name text);
INSERT INTO kids SELECT g, 'kid ' || g FROM generate_series(0, 999) g;
CREATE TABLE kid_absences (
    gone int,
    id bigint GENERATED ALWAYS AS IDENTITY (START WITH 7 INCREMENT BY 3 CACHE 1),
    kid_id bigint NOT NULL CONSTRAINT of_kid REFERENCES kids (id) ON DELETE CASCADE,
    date date,
    number bigserial,
    reason text COLLATE "C" DEFAULT 'ill; 100 % of it',
    how mood DEFAULT 'ill',
    note short,
    extra json,
    spot point,
    days int[] DEFAULT '{1,2}',
    hours numeric(6, 2) NOT NULL DEFAULT 6,
    minutes numeric GENERATED ALWAYS AS (hours * 60) STORED,
    CONSTRAINT kid_absences_pkey PRIMARY KEY (id) INCLUDE (hours),
    CONSTRAINT one_a_day UNIQUE (kid_id, date),
    CONSTRAINT one_a_number UNIQUE (number, date) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT hours_positive CHECK (hours > 0)
) WITH (fillfactor = 80, toast.autovacuum_enabled = false);
ALTER TABLE kid_absences DROP COLUMN gone;
ALTER TABLE kid_absences ADD COLUMN late boolean NOT NULL DEFAULT false;
ALTER TABLE kid_absences ALTER COLUMN reason SET STORAGE EXTERNAL, ALTER COLUMN kid_id SET STATISTICS 500,
    ALTER COLUMN kid_id SET (n_distinct = -0.1), ALTER COLUMN note SET COMPRESSION pglz;
CREATE INDEX by_reason ON kid_absences (lower(reason) DESC) INCLUDE (how) WHERE late;
CREATE INDEX by_days ON kid_absences USING gin (days) WITH (fastupdate = off);
"""

HANGING_ON_IT = """
CREATE STATISTICS other.reasons (ndistinct, dependencies) ON kid_id, reason FROM kid_absences;
ALTER STATISTICS other.reasons SET STATISTICS 300;
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE FUNCTION boom() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'must not fire'; END $$;
CREATE TRIGGER touched BEFORE INSERT OR UPDATE ON kid_absences FOR EACH ROW WHEN (NEW.late) EXECUTE FUNCTION touch();
CREATE TRIGGER each_insert AFTER INSERT ON kid_absences FOR EACH STATEMENT EXECUTE FUNCTION boom();
CREATE TRIGGER switched_off AFTER DELETE ON kid_absences FOR EACH ROW EXECUTE FUNCTION touch();
ALTER TABLE kid_absences DISABLE TRIGGER switched_off;
ALTER TABLE kid_absences ENABLE ALWAYS TRIGGER touched;
CREATE POLICY own ON kid_absences AS RESTRICTIVE FOR SELECT TO PUBLIC USING (kid_id = (SELECT min(id) FROM kids));
CREATE POLICY mine ON kid_absences FOR UPDATE TO {reader} USING (true) WITH CHECK (late);
ALTER TABLE kid_absences ENABLE ROW LEVEL SECURITY;
ALTER TABLE kid_absences FORCE ROW LEVEL SECURITY;
ALTER TABLE kid_absences REPLICA IDENTITY FULL;
CREATE PUBLICATION changes FOR TABLE kid_absences WITH (publish_via_partition_root = true);
CREATE TABLE excuses (kid_id bigint, day date, CONSTRAINT for_absence FOREIGN KEY (kid_id, day)
    REFERENCES kid_absences (kid_id, date));
GRANT SELECT, INSERT ON kid_absences TO {reader};
GRANT UPDATE ON kid_absences TO {reader} WITH GRANT OPTION;
GRANT UPDATE (reason), SELECT (note) ON kid_absences TO PUBLIC;
GRANT USAGE ON SEQUENCE kid_absences_id_seq TO {reader};
GRANT SELECT ON SEQUENCE kid_absences_number_seq TO {reader};
COMMENT ON TABLE kid_absences IS 'Who is away
and why: 100 %';
COMMENT ON COLUMN kid_absences.note IS 'It''s short';
COMMENT ON CONSTRAINT kid_absences_pkey ON kid_absences IS 'ids';
COMMENT ON CONSTRAINT hours_positive ON kid_absences IS 'no negative hours';
COMMENT ON CONSTRAINT of_kid ON kid_absences IS 'which kid';
COMMENT ON INDEX by_reason IS 'for the report';
COMMENT ON INDEX one_a_day IS 'an index under a constraint';
COMMENT ON TRIGGER touched ON kid_absences IS 'touches';
COMMENT ON POLICY own ON kid_absences IS 'own rows';
COMMENT ON STATISTICS other.reasons IS 'reasons of kids';
COMMENT ON SEQUENCE kid_absences_id_seq IS 'counts';
ALTER TABLE kid_absences OWNER TO {owner};
"""


READ_THROUGH = """
CREATE VIEW ill WITH (security_barrier = true, check_option = local) AS
    SELECT id, kid_id, date, hours, reason AS why FROM kid_absences WHERE how = 'ill';
ALTER VIEW ill ALTER COLUMN why SET DEFAULT 'told';
ALTER VIEW ill OWNER TO {owner};
GRANT SELECT, UPDATE (why) ON ill TO {reader};
COMMENT ON VIEW ill IS 'who is ill';
COMMENT ON COLUMN ill.why IS 'as told';
CREATE VIEW other.named AS SELECT i.*, k.name FROM ill i JOIN kids k ON k.id = i.kid_id;
CREATE VIEW other."whole %" AS SELECT to_json(a.*) AS line, count(*) OVER () AS n FROM kid_absences a;
CREATE VIEW whole AS SELECT to_json(a.*) AS line FROM kid_absences a;
CREATE TRIGGER in_place INSTEAD OF DELETE ON whole FOR EACH ROW EXECUTE FUNCTION touch();
CREATE RULE by_name AS ON INSERT TO other.named DO INSTEAD
    INSERT INTO kid_absences (kid_id, date) VALUES (NEW.kid_id, NEW.date);
COMMENT ON RULE by_name ON other.named IS 'for the import';
CREATE FUNCTION days_of(kid bigint) RETURNS bigint LANGUAGE sql STABLE SECURITY DEFINER
    BEGIN ATOMIC SELECT count(*) FROM kid_absences WHERE kid_id = kid; END;
GRANT EXECUTE ON FUNCTION days_of TO {reader};
COMMENT ON FUNCTION days_of IS 'how often; $body$';
CREATE FUNCTION in_text() RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT count(*) FROM kid_absences); END';
CREATE TABLE notes (kid bigint);
ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
CREATE POLICY "of them %" ON notes USING (kid IN (SELECT kid_id FROM kid_absences)) WITH CHECK (kid > 0);
"""


def fill(run: Run) -> None:
    """1,500 rows of the table with everything."""
    run(
        "INSERT INTO kid_absences (kid_id, date, reason, extra, spot, late, note) SELECT g % 900, "
        "'2019-12-20'::date + g / 7, 'reason ' || g, '{\"a\": 1}', point(g, 0.1), g % 5 = 0, repeat('x', g % 90)"
        " FROM generate_series(1, 1500) g"
    )


def make_everything(run: Run, owner: str, reader: str) -> None:
    """The table with everything, filled, with all that can hang on it."""
    run(f"GRANT CREATE ON SCHEMA public TO {ident(owner)}")
    run(EVERYTHING)
    fill(run)
    run(HANGING_ON_IT.format(owner=ident(owner), reader=ident(reader)))
    run("INSERT INTO excuses SELECT kid_id, date FROM kid_absences LIMIT 40")
