-- +goose Up
CREATE TABLE stays (
    app         TEXT    NOT NULL,
    room        TEXT    NOT NULL,
    platform    TEXT    NOT NULL,
    identity    TEXT    NOT NULL,
    subject     TEXT    NOT NULL,
    maker       TEXT    NOT NULL,
    proven_at   INTEGER,
    grant_id    TEXT    NOT NULL,
    participant TEXT    NOT NULL,
    expires_at  INTEGER,
    over_at     INTEGER,
    reason      TEXT    NOT NULL,
    due         INTEGER,
    attempts    INTEGER NOT NULL,
    failure     TEXT    NOT NULL,
    done_at     INTEGER,
    version     INTEGER NOT NULL,
    PRIMARY KEY (app, room, platform, identity, subject)
) STRICT, WITHOUT ROWID;

CREATE INDEX stays_due ON stays (platform, due) WHERE due IS NOT NULL;
