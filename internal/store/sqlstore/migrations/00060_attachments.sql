-- body is JSON: whose connection it is, and what waits for it.

-- +goose Up
CREATE TABLE attachments (
    app        TEXT    NOT NULL,
    identity   TEXT    NOT NULL,
    connection TEXT    NOT NULL,
    id         TEXT    NOT NULL,
    endpoint   TEXT    NOT NULL,
    body       TEXT    NOT NULL,
    made       INTEGER NOT NULL,
    away       INTEGER NOT NULL,
    seen_at    INTEGER,
    due        INTEGER,
    updated_at INTEGER,
    version    INTEGER NOT NULL,
    PRIMARY KEY (app, identity, connection)
) STRICT, WITHOUT ROWID;

CREATE INDEX attachments_due ON attachments (due) WHERE due IS NOT NULL;
