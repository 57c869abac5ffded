-- Times are microseconds since 1970 in UTC; NULL is the zero time. "made" is
-- the time in the id, kept beside it because ids do not sort by time.

-- +goose Up
CREATE TABLE rooms (
    app        TEXT    NOT NULL,
    id         TEXT    NOT NULL,
    made       INTEGER NOT NULL,
    name       TEXT    NOT NULL,
    kind       TEXT    NOT NULL,
    status     TEXT    NOT NULL,
    owner      TEXT    NOT NULL,
    admission  TEXT    NOT NULL,
    seats      INTEGER NOT NULL,
    taken      INTEGER NOT NULL,
    opens_at   INTEGER,
    closes_at  INTEGER,
    empty_at   INTEGER,
    updated_at INTEGER,
    ended_at   INTEGER,
    end_reason TEXT    NOT NULL,
    due        INTEGER,
    version    INTEGER NOT NULL,
    PRIMARY KEY (app, id)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX rooms_name ON rooms (app, name) WHERE name <> '' AND status <> 'ended';
CREATE INDEX rooms_made ON rooms (app, made, id);
CREATE INDEX rooms_owner ON rooms (app, owner, made, id);
CREATE INDEX rooms_status ON rooms (app, status, made, id);
CREATE INDEX rooms_due ON rooms (due) WHERE due IS NOT NULL;

CREATE TABLE participants (
    app        TEXT    NOT NULL,
    room       TEXT    NOT NULL,
    id         TEXT    NOT NULL,
    made       INTEGER NOT NULL,
    status     TEXT    NOT NULL,
    role       TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    identity   TEXT    NOT NULL,
    maker      TEXT    NOT NULL,
    grant_id   TEXT    NOT NULL,
    expires_at INTEGER,
    secret     BLOB,
    token      BLOB,
    hold       TEXT    NOT NULL,
    held_until INTEGER,
    attachment TEXT    NOT NULL,
    node       TEXT    NOT NULL,
    lost_at    INTEGER,
    updated_at INTEGER,
    end_reason TEXT    NOT NULL,
    version    INTEGER NOT NULL,
    PRIMARY KEY (app, room, id),
    FOREIGN KEY (app, room) REFERENCES rooms (app, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX participants_made ON participants (app, room, made, id);
CREATE INDEX participants_status ON participants (app, room, status, made, id);
CREATE INDEX participants_held_until ON participants (held_until) WHERE held_until IS NOT NULL;
CREATE INDEX participants_node ON participants (node) WHERE hold = 'socket';

CREATE TABLE clients (
    id         TEXT    NOT NULL PRIMARY KEY,
    made       INTEGER NOT NULL,
    app        TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    public_key TEXT    NOT NULL,
    api_key    BLOB,
    expires_at INTEGER,
    last_used  INTEGER,
    scopes     TEXT    NOT NULL,
    updated_at INTEGER,
    not_before INTEGER,
    revoked_at INTEGER,
    version    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX clients_name ON clients (app, name) WHERE revoked_at IS NULL;

CREATE TABLE keys (
    id         TEXT    NOT NULL PRIMARY KEY,
    made       INTEGER NOT NULL,
    algorithm  TEXT    NOT NULL,
    state      TEXT    NOT NULL,
    sealed     BLOB,
    not_after  INTEGER,
    updated_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE marks (
    name    TEXT    NOT NULL PRIMARY KEY,
    value   BLOB,
    expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX marks_expires ON marks (expires);
