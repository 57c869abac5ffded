-- +goose Up
CREATE TABLE calls (
    app               TEXT    NOT NULL,
    id                TEXT    NOT NULL,
    low               TEXT    NOT NULL,
    high              TEXT    NOT NULL,
    caller            TEXT    NOT NULL,
    caller_device     TEXT    NOT NULL,
    caller_connection TEXT    NOT NULL,
    caller_node       TEXT    NOT NULL,
    caller_lost_at    INTEGER,
    callee            TEXT    NOT NULL,
    callee_device     TEXT    NOT NULL,
    callee_connection TEXT    NOT NULL,
    callee_node       TEXT    NOT NULL,
    callee_lost_at    INTEGER,
    status            TEXT    NOT NULL,
    merged            TEXT    NOT NULL,
    request           INTEGER NOT NULL,
    payload           TEXT    NOT NULL,
    ignored           TEXT    NOT NULL,
    invited_at        INTEGER,
    accepted_at       INTEGER,
    connected_at      INTEGER,
    ended_at          INTEGER,
    ended_by          TEXT    NOT NULL,
    reason            TEXT    NOT NULL,
    missed            TEXT    NOT NULL,
    missed_made       INTEGER NOT NULL,
    due               INTEGER,
    updated_at        INTEGER,
    version           INTEGER NOT NULL,
    PRIMARY KEY (app, id, low, high)
) STRICT;

CREATE UNIQUE INDEX calls_live ON calls (app, low, high) WHERE status <> 'ended';
CREATE INDEX calls_live_high ON calls (app, high) WHERE status <> 'ended';
CREATE INDEX calls_merged ON calls (app, merged) WHERE merged <> '';
CREATE INDEX calls_missed ON calls (app, callee, missed_made, missed) WHERE missed <> '';
CREATE INDEX calls_due ON calls (due) WHERE status <> 'ended';
CREATE INDEX calls_forgotten ON calls (due) WHERE status = 'ended';
CREATE INDEX calls_caller_node ON calls (caller_node) WHERE status <> 'ended' AND caller_node <> '';
CREATE INDEX calls_callee_node ON calls (callee_node) WHERE status <> 'ended' AND callee_node <> '';
