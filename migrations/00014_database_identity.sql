-- Which Postgres this is, so that a failover, or a restored backup, is noticed: what was acknowledged may be missing after it.

-- +goose Up
SET LOCAL lock_timeout = '5s'; -- never queue behind a long transaction: everybody else would queue behind us

CREATE TABLE rolecall.database_identity (
    one               boolean     PRIMARY KEY DEFAULT true CHECK (one), -- there is one row
    system_identifier text        NOT NULL,            -- of the cluster; '' if the server doesn't tell
    timeline          bigint      NOT NULL,            -- each promotion of a standby, and each recovery to a point in time, raises it
    noted_at          timestamptz NOT NULL,
    changed_at        timestamptz,                     -- when it was noted to be another one than before; null for never
    change            text        NOT NULL DEFAULT ''  -- from which to which
);

-- +goose Down
DROP TABLE rolecall.database_identity;
