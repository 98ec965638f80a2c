"""A chain of durable no-op steps on DBOS with SQLite, timed from the call of the workflow to its return.

usage: peer.py DATABASE STEPS as-shipped|wal
"""

import json
import sqlite3
import sys
import time
from importlib.metadata import version

from dbos import DBOS

database, steps, journal = sys.argv[1], int(sys.argv[2]), sys.argv[3]

if journal == "wal":
    # Kept in the file, so every connection that DBOS opens has it.
    with sqlite3.connect(database) as connection:
        connection.execute("PRAGMA journal_mode = WAL")


@DBOS.step()
def noop(number: int) -> None:
    return None


@DBOS.workflow()
def chain(length: int) -> None:
    for number in range(length):
        noop(number)


DBOS(config={"name": "chain", "system_database_url": f"sqlite:///{database}", "log_level": "ERROR"})
DBOS.launch()
chain(10)  # what is made at the first call is not what is measured
begin = time.perf_counter()
chain(steps)
seconds = time.perf_counter() - begin

# DBOS sets neither of the two, so a connection of our own has what its connections have: what SQLite was built with
# (synchronous) and what the file says (journal_mode).
with sqlite3.connect(database) as connection:
    (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    (synchronous,) = connection.execute("PRAGMA synchronous").fetchone()
    (written,) = connection.execute("SELECT count(*) FROM operation_outputs").fetchone()
if written != steps + 10:
    sys.exit(f"{written} steps are recorded, not {steps + 10}")
print(
    json.dumps(
        {
            "seconds": seconds,
            "version": version("dbos"),
            "sqlite": sqlite3.sqlite_version,
            "journal": mode,
            "synchronous": synchronous,
        }
    )
)
DBOS.destroy()
