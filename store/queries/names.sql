-- name: NamesOf :many
-- What people call the objects with the given ids: e-mail addresses of users and invitations, names
-- of workspaces and domains, keys of roles. Deleted objects keep their names.
SELECT id, coalesce(nullif(identifier, ''), trim(concat_ws(' ', first_name, last_name)))::text AS name
FROM rolecall.users WHERE id = ANY (@ids::text[])
UNION ALL SELECT id, name FROM rolecall.organizations WHERE id = ANY (@ids::text[])
UNION ALL SELECT id, email FROM rolecall.invitations WHERE id = ANY (@ids::text[])
UNION ALL SELECT id, name FROM rolecall.domains WHERE id = ANY (@ids::text[])
UNION ALL SELECT id, key FROM rolecall.roles WHERE id = ANY (@ids::text[]);
