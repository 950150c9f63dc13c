-- In which table the database's identity was noted. A restored dump has another table, also on the same server. So a restore is
-- noticed, as a failover is.

-- +goose Up
SET LOCAL lock_timeout = '5s'; -- never queue behind a long transaction: everybody else would queue behind us
ALTER TABLE rolecall.database_identity ADD COLUMN table_oid bigint; -- null: an older instance noted it
UPDATE rolecall.database_identity SET table_oid = 'rolecall.database_identity'::regclass::oid::bigint;

-- +goose Down
ALTER TABLE rolecall.database_identity DROP COLUMN table_oid;
