-- The state of one job. docs/FORMAT.md describes every column. Each row has the xxh3_64 of its other columns as its sum.
CREATE TABLE identity (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE head (
    id     INTEGER PRIMARY KEY CHECK (id = 1),
    epoch  INTEGER NOT NULL,
    digest BLOB NOT NULL,
    ledger BLOB NOT NULL,
    rest   BLOB NOT NULL,
    total  INTEGER NOT NULL, -- of the sums of all rows below, modulo 2^64
    sum    INTEGER NOT NULL
) STRICT;

CREATE TABLE partition (
    position    INTEGER PRIMARY KEY,
    name        TEXT NOT NULL,
    next_offset INTEGER NOT NULL,
    clock       BLOB NOT NULL,
    reading     BLOB NOT NULL,
    sum         INTEGER NOT NULL
) STRICT;

CREATE TABLE window (
    period   INTEGER NOT NULL,
    start    INTEGER NOT NULL,
    "end"    INTEGER NOT NULL,
    frames   INTEGER NOT NULL,
    late     INTEGER NOT NULL,
    stage    TEXT NOT NULL,
    revision INTEGER NOT NULL,
    changed  INTEGER NOT NULL,
    sum      INTEGER NOT NULL,
    PRIMARY KEY (period, start)
) STRICT, WITHOUT ROWID;

CREATE TABLE sketch (
    id     INTEGER PRIMARY KEY,
    period INTEGER NOT NULL,
    start  INTEGER NOT NULL,
    bytes  INTEGER NOT NULL,
    hash   BLOB NOT NULL,
    zstd   BLOB NOT NULL,
    sum    INTEGER NOT NULL,
    UNIQUE (period, start)
) STRICT;

CREATE TABLE trailing (
    stretch INTEGER PRIMARY KEY, -- page * 256 + rank
    bytes   BLOB NOT NULL,
    sum     INTEGER NOT NULL
) STRICT;

CREATE TABLE outbox (
    seq     INTEGER PRIMARY KEY,
    period  INTEGER NOT NULL,
    start   INTEGER NOT NULL,
    key     TEXT NOT NULL,
    payload BLOB NOT NULL,
    sum     INTEGER NOT NULL
) STRICT;
