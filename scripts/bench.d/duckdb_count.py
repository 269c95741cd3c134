"""Distinct users with DuckDB, overall and by minute, in one pass over a file of JSON lines: duckdb_count.py FILE.

Prints `all USERS` and `minute START USERS`. The two columns are named, as DuckDB's manual advises where they are known.
"""

import sys

import duckdb

QUERY = """
    SELECT (floor(ts / 60) * 60)::BIGINT AS minute, approx_count_distinct(uid)
    FROM read_ndjson($file, columns = {uid: 'VARCHAR', ts: 'DOUBLE'})
    GROUP BY GROUPING SETS ((), (minute))
    ORDER BY minute NULLS FIRST
"""

for minute, users in duckdb.execute(QUERY, {"file": sys.argv[1]}).fetchall():
    print("all" if minute is None else f"minute {minute}", users)
