-- The policy, for the SQL functions rolecall.can and rolecall.workspaces_of.

-- name: Grants :many
SELECT role, permission FROM rolecall.grants ORDER BY role, permission;

-- name: SavePolicyReading :execrows
-- None is saved if the policy in the table was read later. Whoever saves holds the row, and other savers wait; readers of the grants
-- don't. A time to come is of a clock that was set back since, and says nothing.
INSERT INTO rolecall.policy_reading AS last (read_at) VALUES (clock_timestamp() - make_interval(secs => @age_seconds::float8))
ON CONFLICT (one) DO UPDATE SET read_at = excluded.read_at
WHERE last.read_at <= excluded.read_at OR last.read_at > clock_timestamp();

-- name: DeleteGrants :exec
DELETE FROM rolecall.grants;

-- name: InsertGrants :exec
INSERT INTO rolecall.grants (role, permission)
SELECT DISTINCT unnest(@roles::text[]), unnest(@permissions::text[]);
