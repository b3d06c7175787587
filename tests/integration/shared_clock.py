"""One clock for a test and for the PostgreSQL that it uses: it stands until somebody moves it."""

from datetime import datetime

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from tests.builders import NOW, FakeClock
from tests.integration.world import Conninfo

FAKE = """
    CREATE SCHEMA IF NOT EXISTS fake;
    CREATE TABLE IF NOT EXISTS fake.moment (now timestamptz NOT NULL);
    TRUNCATE fake.moment;
    CREATE OR REPLACE FUNCTION fake.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
        AS 'SELECT now FROM fake.moment';
"""
"""Found before the server's own function, because the search path of the database names it first."""


class SharedClock(FakeClock):
    """A clock that also tells the database the time; connections that are made from now on believe it."""

    def __init__(self, conninfo: Conninfo, now: datetime = NOW) -> None:
        self._connection = psycopg.connect(make_conninfo("", **conninfo), autocommit=True)
        self._connection.execute(FAKE)
        database = sql.Identifier(str(conninfo["dbname"]))
        self._connection.execute(
            sql.SQL("ALTER DATABASE {} SET search_path = fake, pg_catalog, public").format(database)
        )
        self._connection.execute("INSERT INTO fake.moment VALUES (%s)", [now])
        super().__init__(now)

    def set(self, now: datetime) -> None:
        self.time = now
        self._connection.execute("UPDATE fake.moment SET now = %s", [now])

    def close(self) -> None:
        self._connection.close()
