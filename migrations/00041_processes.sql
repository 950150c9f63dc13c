-- The processes that run `serve`, and what each of them measured in each minute. Operators read both; nothing depends on them.

-- +goose Up
SET LOCAL lock_timeout = '5s'; -- never queue behind a long transaction: everybody else would queue behind us

CREATE TABLE rolecall.processes (
    id           text        PRIMARY KEY,     -- also River's name of the process
    host_name    text        NOT NULL,
    pid          integer     NOT NULL,
    version      text        NOT NULL,
    web          boolean     NOT NULL,        -- it accepts webhooks and answers
    workers      boolean     NOT NULL,        -- it applies deliveries
    sweeps       boolean     NOT NULL,        -- it has Clerk's secret key, and workers
    started_at   timestamptz NOT NULL,
    seen_at      timestamptz NOT NULL,        -- of its last sign of life
    clerk_sent   integer,                     -- calls to Clerk in the last ten seconds; null without a secret key
    clerk_limit  integer,                     -- how many Clerk accepts in that time
    clerk_paused boolean     NOT NULL DEFAULT false -- sweeps wait, because Clerk answered 429
);

-- A column is null where the process had no such side.
CREATE TABLE rolecall.measurements (
    minute        timestamptz NOT NULL,
    process_id    text        NOT NULL,
    accepted      bigint,                     -- webhooks that were answered with 200
    questions     bigint,                     -- decisions
    refused       bigint,                     -- decisions that were no
    applied       bigint,                     -- deliveries that ended, quarantined ones left out
    longest_us    bigint,                     -- the longest time from receipt to that end; null if none ended
    waits         bigint[],                   -- how many of these times were in each range; package store says which
    PRIMARY KEY (minute, process_id)
);

-- +goose Down
DROP TABLE rolecall.measurements, rolecall.processes;
