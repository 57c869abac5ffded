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
    proven_at  INTEGER,
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

CREATE TABLE members (
    app        TEXT    NOT NULL,
    room       TEXT    NOT NULL,
    identity   TEXT    NOT NULL,
    role       TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    added_by   TEXT    NOT NULL,
    updated_at INTEGER,
    PRIMARY KEY (app, room, identity)
) STRICT, WITHOUT ROWID;

CREATE TABLE invites (
    app        TEXT    NOT NULL,
    room       TEXT    NOT NULL,
    id         TEXT    NOT NULL,
    made       INTEGER NOT NULL,
    code       BLOB,
    role       TEXT    NOT NULL,
    uses       INTEGER NOT NULL,
    max_uses   INTEGER NOT NULL,
    expires_at INTEGER,
    made_by    TEXT    NOT NULL,
    revoked_at INTEGER,
    updated_at INTEGER,
    version    INTEGER NOT NULL,
    PRIMARY KEY (app, room, id)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX invites_code ON invites (code);
CREATE INDEX invites_made ON invites (app, room, made, id);

CREATE TABLE takings (
    seq           INTEGER NOT NULL PRIMARY KEY,
    id            TEXT    NOT NULL UNIQUE,
    app           TEXT    NOT NULL,
    kind          TEXT    NOT NULL,
    grant_id      TEXT    NOT NULL,
    identity      TEXT    NOT NULL,
    client        TEXT    NOT NULL,
    room          TEXT    NOT NULL,
    issued_before INTEGER,
    forever       INTEGER NOT NULL,
    ends_at       INTEGER,
    taken_by      TEXT    NOT NULL,
    reason        TEXT    NOT NULL
) STRICT;

CREATE TABLE batches (
    seq      INTEGER NOT NULL PRIMARY KEY,
    first_at INTEGER NOT NULL,
    last_at  INTEGER NOT NULL,
    events   INTEGER NOT NULL,
    body     BLOB    NOT NULL
) STRICT;

CREATE INDEX batches_last_at ON batches (last_at, first_at);

-- One row: the last number that a batch was given, the bytes in the bodies that
-- are still there, and the longest time that a batch ever spanned.
CREATE TABLE batch_totals (
    id    INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    seq   INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    span  INTEGER NOT NULL
) STRICT;

INSERT INTO batch_totals (id, seq, bytes, span) VALUES (1, 0, 0, 0);
