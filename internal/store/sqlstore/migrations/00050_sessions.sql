-- body is JSON: whom the session is for, and what it may do in which rooms.

-- +goose Up
CREATE TABLE sessions (
    token      BLOB    NOT NULL PRIMARY KEY,
    id         TEXT    NOT NULL UNIQUE,
    made       INTEGER NOT NULL,
    app        TEXT    NOT NULL,
    identity   TEXT    NOT NULL,
    user_name  TEXT    NOT NULL,
    body       TEXT    NOT NULL,
    expires_at INTEGER NOT NULL,
    updated_at INTEGER,
    version    INTEGER NOT NULL
) STRICT;

CREATE INDEX sessions_identity ON sessions (app, identity, made, id);
CREATE INDEX sessions_expires ON sessions (expires_at);
