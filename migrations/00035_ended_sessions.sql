-- Sessions that have ended, so that their tokens are refused. A row is pruned once no token can name its session any more: see
-- store/queries/session.sql.

-- +goose Up
SET LOCAL lock_timeout = '5s'; -- never queue behind a long transaction: everybody else would queue behind us

CREATE TABLE rolecall.ended_sessions (
    id       text        PRIMARY KEY,
    ended_at timestamptz NOT NULL DEFAULT clock_timestamp() -- when the end became known here
);
CREATE INDEX ended_sessions_by_time ON rolecall.ended_sessions (ended_at); -- to be pruned

-- +goose Down
DROP TABLE rolecall.ended_sessions;
