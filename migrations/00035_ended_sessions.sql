-- Sessions that have ended, so that their tokens are refused. A token of a session lives for 24 hours at most: after that, its row
-- says nothing any more, and is pruned.

-- +goose Up
SET LOCAL lock_timeout = '5s'; -- never queue behind a long transaction: everybody else would queue behind us

CREATE TABLE rolecall.ended_sessions (
    id       text        PRIMARY KEY,
    ended_at timestamptz NOT NULL DEFAULT clock_timestamp() -- when the end became known here: no token is younger
);
CREATE INDEX ended_sessions_by_time ON rolecall.ended_sessions (ended_at); -- to be pruned

-- +goose Down
DROP TABLE rolecall.ended_sessions;
