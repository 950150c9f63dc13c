-- The sessions of operators in the console, so that a session holds on every process and ends on all of them.

-- +goose Up
SET LOCAL lock_timeout = '5s'; -- never queue behind a long transaction: everybody else would queue behind us

CREATE TABLE rolecall.operator_sessions (
    id_hash    bytea       PRIMARY KEY, -- SHA-256 of the random id in the operator's cookie
    operator   text        NOT NULL,
    token_hash bytea       NOT NULL, -- SHA-256 of the token that opened the session, which ends with that token
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL
);
CREATE INDEX operator_sessions_by_expiry ON rolecall.operator_sessions (expires_at); -- to be pruned

-- +goose Down
DROP TABLE rolecall.operator_sessions;
