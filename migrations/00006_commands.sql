-- What somebody asked Clerk for through the API: who did it, until the change is audited, and what was answered.

-- +goose Up
SET LOCAL lock_timeout = '5s'; -- never queue behind a long transaction: everybody else would queue behind us

CREATE TABLE rolecall.commands (
    id              text        PRIMARY KEY,            -- the cause in the audit log
    actor           text        NOT NULL,
    action          text        NOT NULL,
    organization_id text        NOT NULL,               -- '' for a new one until Clerk has answered
    target          text        NOT NULL,               -- '' for what is made anew until Clerk has answered
    outcome         text        NOT NULL,               -- what the audit entry says of the new state: a name, a role or an address
    state           text        NOT NULL CHECK (state IN ('begun', 'unknown', 'done', 'failed')),
    begun_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    tried_at        timestamptz NOT NULL DEFAULT clock_timestamp(), -- begun_at, or when the same key came again
    audited_at      timestamptz,                        -- when an audit entry took the actor: none other may
    key             bytea       UNIQUE,                 -- digest of the idempotency key and its scope
    request         bytea,                              -- digest of the request's body
    answer          json                                -- package api says how to read it
) WITH (fillfactor = 80);
-- Whose change is this? Asked by everything that writes audit entries, so that it must cost nothing.
CREATE INDEX commands_open ON rolecall.commands (organization_id) WHERE state IN ('begun', 'unknown');
CREATE INDEX commands_by_time ON rolecall.commands (begun_at); -- to be pruned

-- +goose Down
DROP TABLE rolecall.commands;
