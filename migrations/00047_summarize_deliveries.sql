-- The ledger's index of times knows ranges of blocks. New blocks are in no range until a vacuum summarizes them, and every list of
-- the newest deliveries reads them all: on a busy service, 200,000 rows for 50. Autovacuum now summarizes a range once it is full.

-- +goose Up
SET LOCAL lock_timeout = '5s'; -- never queue behind a long transaction: everybody else would queue behind us
ALTER INDEX rolecall.deliveries_by_time SET (autosummarize = on);

-- +goose Down
ALTER INDEX rolecall.deliveries_by_time RESET (autosummarize);
