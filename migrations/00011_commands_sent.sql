-- A command that Clerk wasn't given yet has changed nothing: what it looks like when somebody else has just made the same change is theirs.

-- +goose Up
SET LOCAL lock_timeout = '5s'; -- never queue behind a long transaction: everybody else would queue behind us

-- When Clerk was first given it. An instance of an older version doesn't say so, and gives it to Clerk at once.
ALTER TABLE rolecall.commands ADD sent_at timestamptz DEFAULT clock_timestamp();

-- +goose Down
ALTER TABLE rolecall.commands DROP sent_at;
