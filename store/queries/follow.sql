-- For followers, who print rows as they are committed.

-- name: ReadHorizon :one
-- What is committed, and which transactions are still running. Ids of transactions are drawn in
-- order: none below oldest is running, and none from next on had begun to write. That holds for the
-- id that is drawn here, after the snapshot. It doesn't hold for the snapshot's xmax, which only
-- follows the last transaction that has ended. A standby draws no ids, and has nothing better.
SELECT clock_timestamp()::timestamptz AS at, coalesce((SELECT max(id) FROM rolecall.audit_log), 0)::bigint AS last_entry,
    pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS oldest,
    (CASE WHEN pg_is_in_recovery() THEN pg_snapshot_xmax(pg_current_snapshot()) ELSE pg_current_xact_id() END)::text::bigint AS next;
