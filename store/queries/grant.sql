-- The policy, for the SQL functions rolecall.can and rolecall.workspaces_of.

-- name: Grants :many
SELECT role, permission FROM rolecall.grants ORDER BY role, permission;

-- name: SavePolicyReading :execrows
-- Saves when the policy was read, unless the policy in the table was read later. The saver locks
-- the row: other savers wait for it, and readers of the grants don't. An instant in the future
-- doesn't count: the clock was set back since.
INSERT INTO rolecall.policy_reading AS last (read_at) VALUES (clock_timestamp() - make_interval(secs => @age_seconds::float8))
ON CONFLICT (one) DO UPDATE SET read_at = excluded.read_at
WHERE last.read_at <= excluded.read_at OR last.read_at > clock_timestamp();

-- name: DeleteGrants :exec
DELETE FROM rolecall.grants;

-- name: InsertGrants :exec
INSERT INTO rolecall.grants (role, permission)
SELECT DISTINCT unnest(@roles::text[]), unnest(@permissions::text[]);
