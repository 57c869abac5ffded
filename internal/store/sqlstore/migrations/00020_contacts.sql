-- +goose Up
CREATE TABLE users (
    app          TEXT    NOT NULL,
    identity     TEXT    NOT NULL,
    email        TEXT    NOT NULL,
    email_folded TEXT    NOT NULL,
    name         TEXT    NOT NULL,
    proven_at    INTEGER,
    created_at   INTEGER,
    updated_at   INTEGER,
    version      INTEGER NOT NULL,
    PRIMARY KEY (app, identity)
) STRICT, WITHOUT ROWID;

CREATE INDEX users_email ON users (app, email_folded) WHERE email_folded <> '';

CREATE TABLE contacts (
    app      TEXT    NOT NULL,
    owner    TEXT    NOT NULL,
    contact  TEXT    NOT NULL,
    added_at INTEGER,
    PRIMARY KEY (app, owner, contact),
    FOREIGN KEY (app, owner) REFERENCES users (app, identity),
    FOREIGN KEY (app, contact) REFERENCES users (app, identity)
) STRICT, WITHOUT ROWID;

CREATE INDEX contacts_contact ON contacts (app, contact);
