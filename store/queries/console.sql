-- What the operators' console needs for itself.

-- name: LimitStatements :exec
-- Bounds each statement of this transaction, in milliseconds, and to one process of Postgres: the
-- processors are for those who are served.
SELECT set_config('statement_timeout', @milliseconds::text, true), set_config('max_parallel_workers_per_gather', '0', true);

-- name: AppendOperatorEntry :exec
-- Appends what happened in the console to the chain of the whole instance. The trigger chains the
-- entry.
INSERT INTO rolecall.audit_log (organization_id, actor, action, target, data, at, cause)
VALUES ('', sqlc.narg('actor'), @action, @target, @data, clock_timestamp(), 'console');

-- name: Pulse :one
-- A text that differs after a delivery came or was applied, a sweep went on, or something was
-- logged for the whole instance.
SELECT concat_ws(' ',
    (SELECT received_at FROM rolecall.deliveries WHERE body IS NOT NULL ORDER BY received_at DESC LIMIT 1),
    (SELECT min(received_at) FROM rolecall.deliveries WHERE state = 'received'),
    (SELECT updated_at FROM rolecall.sweeps ORDER BY id DESC LIMIT 1),
    (SELECT seq FROM rolecall.audit_heads WHERE organization_id = '')
)::text AS pulse;

-- name: AddOperatorSession :exec
INSERT INTO rolecall.operator_sessions (id_hash, operator, token_hash, expires_at)
VALUES (@id_hash, @operator, @token_hash, clock_timestamp() + make_interval(secs => @seconds::float8));

-- name: OperatorSession :one
SELECT operator, token_hash FROM rolecall.operator_sessions WHERE id_hash = @id_hash AND expires_at > clock_timestamp();

-- name: EndOperatorSession :exec
DELETE FROM rolecall.operator_sessions WHERE id_hash = @id_hash;

-- name: PruneOperatorSessions :exec
DELETE FROM rolecall.operator_sessions WHERE expires_at <= clock_timestamp();
