-- +goose Up
CREATE TABLE documents (
    app            TEXT    NOT NULL,
    room           TEXT    NOT NULL,
    last           INTEGER NOT NULL,
    last_at        INTEGER,
    snapshot       TEXT    NOT NULL,
    snapshot_last  INTEGER NOT NULL,
    snapshot_parts INTEGER NOT NULL,
    PRIMARY KEY (app, room)
) STRICT, WITHOUT ROWID;

CREATE TABLE document_log (
    app     TEXT    NOT NULL,
    room    TEXT    NOT NULL,
    last    INTEGER NOT NULL,
    first   INTEGER NOT NULL,
    made_at INTEGER,
    body    BLOB    NOT NULL,
    PRIMARY KEY (app, room, last)
) STRICT;

CREATE TABLE document_parts (
    app      TEXT    NOT NULL,
    room     TEXT    NOT NULL,
    snapshot TEXT    NOT NULL,
    part     INTEGER NOT NULL,
    body     BLOB    NOT NULL,
    PRIMARY KEY (app, room, snapshot, part)
) STRICT;
