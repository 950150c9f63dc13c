-- The server and the database that a connection leads to.

-- name: Ping :exec
SELECT 1;

-- name: TransactionReadOnly :one
SELECT current_setting('transaction_read_only')::boolean AS read_only;

-- name: DatabaseName :one
-- An oid names a database of one server, and the time of its start names a server.
SELECT concat(oid, ' of the server of ', extract(epoch FROM pg_postmaster_start_time()))::text AS name
FROM pg_catalog.pg_database WHERE datname = current_database();

-- name: ReadingRights :one
SELECT current_user::text AS role, coalesce(bool_and(has_schema_privilege(n.oid, 'USAGE')), true)::boolean AS usable,
    coalesce(array_agg(c.relname::text ORDER BY c.relname) FILTER (WHERE NOT has_table_privilege(c.oid, 'SELECT')), '{}')::text[] AS unreadable
FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid
WHERE n.nspname = 'rolecall' AND c.relkind IN ('r', 'v') AND c.relname NOT LIKE 'river%' AND c.relname <> 'goose_db_version';

-- name: MirrorIsEmpty :one
SELECT (NOT EXISTS (SELECT FROM rolecall.organizations) AND NOT EXISTS (SELECT FROM rolecall.users))::boolean AS empty;

-- name: CurrentDatabase :one
SELECT current_database()::text AS name;

-- name: SystemIdentifier :one
-- Providers don't let all roles ask.
SELECT system_identifier::text AS system_identifier FROM pg_catalog.pg_control_system();
