-- +goose Up
CREATE INDEX rooms_ended ON rooms (ended_at) WHERE status = 'ended';
