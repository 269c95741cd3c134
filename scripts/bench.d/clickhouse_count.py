"""Distinct users with ClickHouse (chDB), overall and by minute, in one pass over a file of JSON lines: clickhouse_count.py FILE.

Prints `all USERS` and `minute START USERS`. Keys are told apart by their case; ClickHouse would else take `TS` for `ts`.
"""

import sys

import chdb

QUERY = """
    SELECT toUnixTimestamp(toStartOfMinute(toDateTime(ts, 'UTC'))) AS minute, uniqCombined(uid)
    FROM file('{file}', JSONEachRow, 'uid String, ts Float64')
    GROUP BY minute WITH TOTALS
    ORDER BY minute
    SETTINGS input_format_column_name_matching_mode = 'match_case'
"""

# Lines of one minute each; behind an empty one that of the totals.
rows = str(chdb.query(QUERY.format(file=sys.argv[1]), "CSV")).split("\n\n")
for minute, users in (line.split(",") for line in rows[0].splitlines()):
    print("minute", minute, users)
print("all", rows[1].strip().split(",")[1])
