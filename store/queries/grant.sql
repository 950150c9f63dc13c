-- The policy, for the SQL functions rolecall.can and rolecall.workspaces_of.

-- name: Grants :many
SELECT role, permission FROM rolecall.grants ORDER BY role, permission;

-- name: LockGrants :exec
-- Others can read meanwhile.
LOCK TABLE rolecall.grants IN SHARE ROW EXCLUSIVE MODE;

-- name: DeleteGrants :exec
DELETE FROM rolecall.grants;

-- name: InsertGrants :exec
INSERT INTO rolecall.grants (role, permission)
SELECT DISTINCT unnest(@roles::text[]), unnest(@permissions::text[]);
