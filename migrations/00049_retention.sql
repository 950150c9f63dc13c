-- Rows of the ledger have a life now, and pruning finds the oldest ones by an exact index. The index of ranges of blocks, which this one
-- replaces, would have become useless: new deliveries take the room of pruned ones, so that each range holds all times.

-- +goose NO TRANSACTION
-- +goose Up
-- Built as 00030 builds its index. Meanwhile deliveries are accepted and applied as always.
SET lock_timeout = '5s'; -- never queue behind a long transaction: everybody else would queue behind us
DROP INDEX CONCURRENTLY IF EXISTS rolecall.deliveries_by_receipt;
SET lock_timeout = '1min'; -- building waits for the transactions under way, also for an older instance that waits to migrate
CREATE INDEX CONCURRENTLY deliveries_by_receipt ON rolecall.deliveries (received_at);
DROP INDEX CONCURRENTLY IF EXISTS rolecall.deliveries_by_time;
RESET lock_timeout;

-- +goose Down
CREATE INDEX deliveries_by_time ON rolecall.deliveries USING brin (received_at) WITH (autosummarize = on);
DROP INDEX rolecall.deliveries_by_receipt;
