-- How long a command may sign for a change counts from when Clerk was given it last, which a repeat that Clerk isn't given doesn't move.

-- +goose Up
SET LOCAL lock_timeout = '5s'; -- never queue behind a long transaction: everybody else would queue behind us

-- As sent_at, of which it is the last. (IF NOT EXISTS: there were databases that had it before this migration.)
ALTER TABLE rolecall.commands ADD COLUMN IF NOT EXISTS last_sent_at timestamptz DEFAULT clock_timestamp();

-- +goose Down
ALTER TABLE rolecall.commands DROP last_sent_at;
