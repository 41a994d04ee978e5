"""The SQL that keeps new partitions in step with those whose rows they get: the mirror, the copy, and its proof.

A trigger on each old partition carries every write over in the transaction of whoever writes: it makes the rows of that
key below the stage what they are in the old partition, so that it matters neither in which order triggers fire nor
whether a row was copied already. Rows are copied in batches that are locked FOR SHARE: a row that somebody changes is
waited for, and one that is copied is changed after it. What a transaction with an older snapshot can't see of the copy
ends it with a serialization failure (40001), after which it is to be tried again as any of its kind.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from core.names import dollar_quoted, fit, ident, literal, qualified
from core.plans.equip import closed
from core.postgres.connection import OUT_OF_STEP, PAUSED
from core.postgres.session import ROW_TEXT
from core.tables.bounds import Bounds, within
from core.tables.catalog.moves import PROGRESS, STAGE
from core.tables.fingerprint import fingerprint_sql
from core.tables.key import Key
from core.tables.move import Course, Leaving, Unique
from core.tables.table import PartitionedTable

MIRROR = "partition_desk_mirror"
"""The name of the triggers, and how those of their functions begin."""
BOUNDS = "partition_desk_bounds"
"""The name of the CHECK that proves to ATTACH where the rows of a new partition lie."""
MOST_PAGES = 200
"""How many pages are copied in one transaction at most; a batch that takes long is followed by a smaller one."""
BATCH_MS = 40
"""How long a batch is to take about: whoever wants to change one of its rows waits as long."""
WAIT_MS = 20
"""How long a batch waits for whoever is changing one of its rows, before it lets all of them go and tries again."""


def stage_of(table: PartitionedTable) -> str:
    """The table below which the new partitions are filled, quoted and qualified."""
    return qualified(table.schema, f"{STAGE}{table.oid}")


def progress_of(table: PartitionedTable) -> str:
    """The table that keeps how far a move is, quoted and qualified."""
    return qualified(table.schema, f"{PROGRESS}{table.oid}")


def label_of(course: Course) -> str:
    """What tells the CHECK of a move on the DEFAULT from those of others."""
    return f"move_{course.leaving[0].oid}"


@dataclass(frozen=True, slots=True)
class Mirror:
    """What of the SQL is alike for all of one move."""

    table: PartitionedTable
    unique: Unique
    leaving: tuple[Leaving, ...]

    @property
    def stage(self) -> str:
        """The table below which the new partitions are filled, quoted and qualified."""
        return stage_of(self.table)

    @property
    def progress(self) -> str:
        """The table that keeps how far it is, quoted and qualified."""
        return progress_of(self.table)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are written."""
        return tuple(column.name for column in self.table.columns if not column.generated)

    def function(self, one: Leaving) -> str:
        """The trigger's function of one old partition, quoted and qualified."""
        return qualified(self.table.schema, f"{MIRROR}_{self.table.oid}_{one.oid}")

    def _listed(self, before: str = "") -> str:
        return ", ".join(f"{before}{ident(name)}" for name in self.columns)

    # --- the stage and the mirror ---

    def make(self, split: str, comment: str) -> Iterator[str]:
        """The stage, and what keeps how far the copy is."""
        kind = "PRIMARY KEY" if self.unique.primary else "UNIQUE"
        yield f"CREATE TABLE {self.stage} (LIKE {self.table.sql} INCLUDING GENERATED) PARTITION BY {split}"
        yield f"ALTER TABLE {self.stage} ADD {kind} ({', '.join(map(ident, self.unique.columns))})"
        yield (
            f"CREATE TABLE {self.progress} (source oid PRIMARY KEY, node oid NOT NULL, block bigint NOT NULL,"
            " last bigint NOT NULL, proven boolean NOT NULL DEFAULT false, paused boolean NOT NULL DEFAULT false,"
            " rest_ms int NOT NULL DEFAULT 0)"
        )
        yield f"COMMENT ON TABLE {self.progress} IS {literal(comment).strip()}"
        yield from (sql for one in (self.stage, self.progress) for sql in closed(self.table.equipment, one))
        if self.table.owner != self.table.server.user:
            yield from (f"ALTER TABLE {one} OWNER TO {ident(self.table.owner)}" for one in (self.stage, self.progress))

    def begin(self) -> Iterator[str]:
        """The triggers, from whose commit on every write is carried over, and where the copy begins and ends."""
        for one in self.leaving:
            function = f"{self.function(one)}()"
            yield (
                f"CREATE FUNCTION {function} RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER"
                f" AS {dollar_quoted(self._body(one))}"
            )
            yield f"REVOKE ALL ON FUNCTION {function} FROM PUBLIC"
            path = (
                f"BEGIN EXECUTE pg_catalog.format('ALTER FUNCTION {function.replace(chr(39), chr(39) * 2)}"
                " SET search_path = %s, pg_temp', pg_catalog.current_setting('search_path')); END"
            )
            yield f"DO {dollar_quoted(path)}"
            if self.table.owner != self.table.server.user:
                yield f"ALTER FUNCTION {function} OWNER TO {ident(self.table.owner)}"
        for one in self.leaving:
            call = f"EXECUTE FUNCTION {self.function(one)}()"
            yield (f"CREATE TRIGGER {ident(MIRROR)} AFTER INSERT OR UPDATE OR DELETE ON {one.sql} FOR EACH ROW {call}")
            yield f"CREATE TRIGGER {ident(f'{MIRROR}_all')} AFTER TRUNCATE ON {one.sql} FOR EACH STATEMENT {call}"
            yield from (
                f"ALTER TABLE {one.sql} ENABLE ALWAYS TRIGGER {ident(name)}" for name in (MIRROR, f"{MIRROR}_all")
            )
            yield (
                f"INSERT INTO {self.progress} SELECT {one.oid}, pg_catalog.pg_relation_filenode({one.oid}), 0,"
                f" {_blocks(one.oid)}"
            )

    def end(self) -> Iterator[str]:
        """What takes the triggers away."""
        for one in self.leaving:
            yield f"DROP TRIGGER {ident(MIRROR)} ON {one.sql}"
            yield f"DROP TRIGGER {ident(f'{MIRROR}_all')} ON {one.sql}"
            yield f"DROP FUNCTION {self.function(one)}()"

    def _body(self, one: Leaving) -> str:
        key, same = self.table.key, self.unique.same
        columns = self._listed()
        old = ", ".join(f"OLD.{ident(name)}" for name in self.columns)
        arbiter = ", ".join(map(ident, self.unique.columns))
        rest = [ident(name) for name in self.columns if name not in self.unique.columns]
        sets = ", ".join(f"{name} = EXCLUDED.{name}" for name in rest)
        conflict = f"DO UPDATE SET {sets}" if rest else "DO NOTHING"
        emptied = f"TRUNCATE {self.stage}"
        if len(self.leaving) > 1 and key is not None:
            emptied = f"DELETE FROM {self.stage} WHERE {self._within(key, one)}"
        return f"""
#variable_conflict use_column
BEGIN
  IF TG_RELID OPERATOR(pg_catalog.<>) {one.oid}::pg_catalog.oid THEN
    RAISE EXCEPTION 'This function is for another table.';
  END IF;
  IF TG_OP OPERATOR(pg_catalog.=) 'TRUNCATE' THEN
    {emptied};
    RETURN NULL;
  END IF;
  IF TG_OP OPERATOR(pg_catalog.<>) 'INSERT' THEN
    IF NOT EXISTS (SELECT FROM ONLY {one.sql} s WHERE {same("s", "OLD")}) THEN
      DELETE FROM {self.stage} t WHERE {same("t", "OLD")};
      IF NOT FOUND AND pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.<>) 'read committed' THEN
        -- fails with 40001 where the row was copied after this transaction's snapshot
        INSERT INTO {self.stage} ({columns}) VALUES ({old}) ON CONFLICT ({arbiter}) DO NOTHING;
        DELETE FROM {self.stage} t WHERE {same("t", "OLD")};
      END IF;
    END IF;
  END IF;
  IF TG_OP OPERATOR(pg_catalog.<>) 'DELETE' THEN
    INSERT INTO {self.stage} ({columns})
    SELECT {self._listed("s.")} FROM ONLY {one.sql} s WHERE {same("s", "NEW")}
    ON CONFLICT ({arbiter}) {conflict};
  END IF;
  RETURN NULL;
END
"""

    def go_on(self, rest_ms: int | None) -> str:
        """What lets a move go on that was paused, and says how long it is to rest after each batch."""
        rest = "" if rest_ms is None else f", rest_ms = {rest_ms}"
        return f"UPDATE {self.progress} SET paused = false{rest}"

    def _halt(self) -> str:
        """A statement of PL/pgSQL that raises PD003 where somebody has paused the move."""
        return f"""IF EXISTS (SELECT FROM {self.progress} WHERE paused) THEN
    RAISE EXCEPTION USING ERRCODE = '{PAUSED}', MESSAGE = 'It was paused.',
      HINT = 'Asking for the same goes on from there.';
  END IF"""

    def _within(self, key: Key, one: Leaving) -> str:
        """A condition: of the rows that move together, those of this partition."""
        if one.bounds != "DEFAULT":
            return within(key, Bounds.parse(one.bounds, key))
        ranges = (within(key, Bounds.parse(each.bounds, key)) for each in self.leaving if each is not one)
        return " AND ".join(f"({each}) IS NOT TRUE" for each in ranges)

    # --- the copy ---

    @property
    def share(self) -> str:
        """A query that tells how much is copied, 0 to 1."""
        return f"SELECT coalesce(sum(least(block, last)) / nullif(sum(last), 0), 1) FROM {self.progress}"

    def copy(self, one: Leaving) -> str:
        """A DO block, to be run outside of any transaction, that copies what is left of one partition's rows.

        It commits each batch with how far it is, and goes on from there. Where the table was rewritten meanwhile it
        begins anew; rows that are there already are left as they are.
        """
        batch = self._batch(one)
        return f"""DO {
            dollar_quoted(f'''
DECLARE
  patience CONSTANT bigint := (SELECT setting::bigint FROM pg_catalog.pg_settings WHERE name = 'lock_timeout');
  pages bigint := {MOST_PAGES // 4};
  here oid;
  node oid;
  low bigint;
  high bigint;
  final bigint;
  waited bigint := 0;
  took bigint;
  rest int;
  began timestamptz;
BEGIN
  LOOP
    {self._halt()};
    began := pg_catalog.clock_timestamp();
    BEGIN
      PERFORM pg_catalog.set_config('lock_timeout', '{WAIT_MS}', true);
      LOCK TABLE ONLY {one.sql} IN ROW SHARE MODE;
      here := pg_catalog.pg_relation_filenode({one.oid});
      SELECT m.node, m.block, m.last, m.rest_ms INTO STRICT node, low, final, rest
        FROM {self.progress} m WHERE m.source = {one.oid};
      IF here <> node THEN
        low := 0;
        final := {_blocks(one.oid)};
      END IF;
      high := least(low + pages, final);
      IF low < final THEN
        EXECUTE pg_catalog.format({literal(batch).strip()},
          pg_catalog.format('(%s,0)', low), pg_catalog.format('(%s,0)', high));
      END IF;
      UPDATE {self.progress} SET node = here, block = high, last = final WHERE source = {one.oid};
      took := 0;
    EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
      took := -1;
    END;
    COMMIT;
    EXIT WHEN took = 0 AND high >= final;
    took := CASE WHEN took < 0 THEN -1
      ELSE (extract(epoch FROM pg_catalog.clock_timestamp() - began) * 1000)::bigint END;
    IF took < 0 THEN
      pages := greatest(1, pages / 4);
      waited := waited + 1;
      IF patience > 0 AND waited * {2 * WAIT_MS} > patience THEN
        RAISE EXCEPTION USING ERRCODE = '55P03', MESSAGE = 'Rows that are to be copied stay locked by somebody else.';
      END IF;
      PERFORM pg_catalog.pg_sleep({WAIT_MS / 1000});
    ELSE
      waited := 0;
      pages := CASE WHEN took > {BATCH_MS} THEN greatest(1, pages / 2) WHEN took < {BATCH_MS // 2}
        THEN least({MOST_PAGES}, pages * 2) ELSE pages END;
      PERFORM pg_catalog.pg_sleep(rest / 1000.0);
    END IF;
  END LOOP;
END
''')
        }"""

    def _batch(self, one: Leaving) -> str:
        """What copies the rows between two places of the table, as pg_catalog.format() takes it with these two."""
        arbiter = ", ".join(map(ident, self.unique.columns))
        rows = f"INSERT INTO {self.stage} ({self._listed()}) SELECT {self._listed('s.')} FROM ONLY {one.sql} s"
        return (
            f"{rows.replace('%', '%%')} WHERE s.ctid OPERATOR(pg_catalog.>=) %L::pg_catalog.tid"
            " AND s.ctid OPERATOR(pg_catalog.<) %L::pg_catalog.tid"
            f" FOR SHARE ON CONFLICT ({arbiter.replace('%', '%%')}) DO NOTHING"
        )

    # --- the proof ---

    def prove(self, pieces: Sequence[str]) -> str:
        """A DO block that compares every row of old and new in one snapshot; SQLSTATE PD002 where they differ.

        To be run outside of any transaction: where they differ it has the copy begin anew, for whoever asks again.
        """
        columns = tuple(column.name for column in self.table.columns)
        pinned = "\n".join(
            f"  PERFORM pg_catalog.set_config({literal(name)}, {literal(value)}, true);"
            for name, value in ROW_TEXT.items()
        )
        return f"""DO {
            dollar_quoted(f'''
DECLARE
  was text;
  copied text;
BEGIN
  {self._halt()};
  UPDATE {self.progress} SET proven = false;
  COMMIT;
{pinned}
  SELECT {_said("o")}, {_said("n")} INTO STRICT was, copied
    FROM ({_together((one.sql for one in self.leaving), columns)}) o, ({_together(pieces, columns)}) n;
  IF was <> copied THEN
    UPDATE {self.progress} SET block = 0;
    COMMIT;
    RAISE EXCEPTION USING ERRCODE = '{OUT_OF_STEP}',
      MESSAGE = 'The rows that were copied are not those that are there.',
      DETAIL = pg_catalog.concat('rows and sum of their hashes: ', was, ' there, ', copied, ' copied'),
      HINT = 'Ask for the same again: what is missing is copied. Where it stays so, take it back with --abandon.';
  END IF;
  UPDATE {self.progress} SET proven = true;
END
''')
        }"""

    def require_proven(self) -> str:
        """A DO block that raises PD002 unless all is proven and every write since was carried over."""
        tables = ", ".join(str(one.oid) for one in self.leaving)
        return f"""DO {
            dollar_quoted(f'''
BEGIN
  {self._halt()};
  IF (SELECT count(*) FROM {self.progress} WHERE proven) <> {len(self.leaving)}
      OR (SELECT count(*) FROM pg_catalog.pg_trigger WHERE tgrelid IN ({tables}) AND tgenabled = 'A'
        AND tgname IN ({literal(MIRROR)}, {literal(f"{MIRROR}_all")})) <> {2 * len(self.leaving)} THEN
    RAISE EXCEPTION USING ERRCODE = '{OUT_OF_STEP}',
      MESSAGE = 'The copy is not proven, or somebody switched off what keeps it in step.',
      HINT = 'Take it back with --abandon, and begin anew.';
  END IF;
END
''')
        }"""


def _blocks(oid: int) -> str:
    return f"pg_catalog.pg_relation_size({oid}) / pg_catalog.current_setting('block_size')::bigint"


def _said(one: str) -> str:
    return f"pg_catalog.concat({one}.rows, ' ', {one}.total)"


def _together(relations: Iterable[str], columns: Sequence[str]) -> str:
    every = " UNION ALL ".join(fingerprint_sql(relation, columns) for relation in relations)
    return f"SELECT sum(f.rows) AS rows, sum(f.total::numeric) AS total FROM ({every}) f"


def aside(name: str) -> str:
    """What an old partition is called between the switch and its removal."""
    return fit(name, "_moved_away")


def require_attached(table: PartitionedTable, relations: Sequence[str]) -> str:
    """A DO block that raises PD002 unless these hang on the table."""
    names = ", ".join(f"{literal(one).strip()}::pg_catalog.regclass" for one in relations)
    return f"""DO {
        dollar_quoted(f'''
BEGIN
  IF (SELECT count(*) FROM pg_catalog.pg_inherits WHERE inhparent = {table.oid} AND inhrelid IN ({names}))
      <> {len(relations)} THEN
    RAISE EXCEPTION USING ERRCODE = '{OUT_OF_STEP}', MESSAGE = 'A new partition is not in its place.',
      HINT = 'The old rows stay where they are. Look what has become of the new partitions.';
  END IF;
END
''')
    }"""


def rename_indexes(relation: str, was: str, final: str) -> str:
    """A DO block that names the indexes of a table after it, as far as those names are free."""
    return f"""DO {
        dollar_quoted(f'''
DECLARE
  one record;
BEGIN
  FOR one IN SELECT n.nspname, c.relname,
        {literal(final)} || pg_catalog.substr(c.relname, {len(was) + 1}) AS final FROM pg_catalog.pg_index x
      JOIN pg_catalog.pg_class c ON c.oid = x.indexrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      WHERE x.indrelid = {literal(relation)}::pg_catalog.regclass AND pg_catalog.starts_with(c.relname, {literal(was)})
  LOOP
    IF pg_catalog.to_regclass(pg_catalog.format('%I.%I', one.nspname, one.final)) IS NULL THEN
      EXECUTE pg_catalog.format('ALTER INDEX %I.%I RENAME TO %I', one.nspname, one.relname, one.final);
    END IF;
  END LOOP;
END
''')
    }"""
