-- Locking and saving objects of the mirror.
--
-- A transaction locks the rows that it wants to change, then saves. It goes kind after kind, in the
-- order users, memberships, invitations, domains, permissions, roles, organizations, and by id
-- within a kind. An object without a row can't be locked, so it is inserted. If another transaction
-- inserts it first, that row stays as it is, and the statement counts fewer rows than objects.
--
-- Waits can't form a cycle. A transaction that saves waits for no lock of a transaction that still
-- locks. Its updates write only rows that it has locked itself. Its inserts say DO NOTHING, which
-- waits for a writer of the row, never for a holder of its lock (DO UPDATE would). So a transaction
-- that locks waits only for one that is further on in the order, or that saves. A transaction that
-- saves waits only while it inserts, for one that has written the same row. That one is as far on
-- in the order or further, because it inserts objects of a kind before it changes others.
--
-- Saving users and memberships also changes the counts of members, by the triggers of migration
-- 00021. Each statement takes advisory locks of users, then locks rows of member_counts, both in
-- order. A transaction that adds users or memberships first locks the counts of its memberships'
-- organizations (LockCounts), and adds the missing ones. Without that, it could hold a count that
-- another transaction waits for, and wait itself to add a row that the other one has added.
--
-- The order doesn't exclude some rare waits. One is between the end of a pair's first membership
-- and the creation of its second one, which changes the flag of the first. The other is between a
-- ban and a batch that adds the banned user, or adds members to several of the user's
-- organizations. Postgres' time-out for locks ends them within tens of milliseconds, and the loser
-- tries again.
--
-- Rows travel as one array for each column, in the order of the table's columns (store/save.go). As
-- JSON, a row took Postgres several times as long to read. Lists and JSON are texts in their array,
-- because Postgres has no arrays of lists. Adding and changing are statements of their own: most
-- batches need one of them, and setting up the other cost as much.

-- name: ReadUsers :many
SELECT * FROM rolecall.users WHERE id = ANY (@ids::text[]);

-- name: ReadPermissions :many
SELECT * FROM rolecall.permissions WHERE id = ANY (@ids::text[]);

-- name: ReadOrganizations :many
SELECT * FROM rolecall.organizations WHERE id = ANY (@ids::text[]);

-- name: ReadMemberships :many
SELECT * FROM rolecall.memberships WHERE id = ANY (@ids::text[]);

-- name: ReadInvitations :many
SELECT * FROM rolecall.invitations WHERE id = ANY (@ids::text[]);

-- name: ReadDomains :many
SELECT * FROM rolecall.domains WHERE id = ANY (@ids::text[]);

-- name: ReadRoles :many
SELECT * FROM rolecall.roles WHERE id = ANY (@ids::text[]);

-- name: EndedAfter :many
-- The memberships that have ended and hide one of the same pair that Clerk showed. The shown one
-- lives here, or a look-up has just found it alive (see the view effective_memberships).
SELECT shown.id::text AS shown_id, n.id, n.created_at, n.alive_at, n.deleted_at, n.deleted_cause, n.deleted_received_at
FROM (
    SELECT unnest(@ids::text[]) AS id, unnest(@organization_ids::text[]) AS organization_id, unnest(@user_ids::text[]) AS user_id,
        unnest(@created_at::timestamptz[]) AS created_at, unnest(@lifted::boolean[]) AS lifted
) shown
LEFT JOIN rolecall.memberships m ON m.id = shown.id
JOIN rolecall.memberships n ON n.organization_id = shown.organization_id AND n.user_id = shown.user_id AND n.id <> shown.id
WHERE n.deleted_at IS NOT NULL AND (m.deleted_at IS NULL OR shown.lifted)
    AND n.created_at > greatest(shown.created_at, m.created_at)
    AND (m.alive_at > n.deleted_at + interval '100 ms') IS NOT TRUE;

-- name: LiveMates :many
-- The other live memberships of a pair.
SELECT id FROM rolecall.memberships
WHERE organization_id = @organization_id AND user_id = @user_id AND id <> @except_id AND deleted_at IS NULL
ORDER BY id;

-- name: LockUsers :many
SELECT * FROM rolecall.users WHERE id = ANY (@ids::text[]) ORDER BY id FOR UPDATE;

-- name: LockMemberships :many
SELECT * FROM rolecall.memberships WHERE id = ANY (@ids::text[]) ORDER BY id FOR UPDATE;

-- name: LockInvitations :many
SELECT * FROM rolecall.invitations WHERE id = ANY (@ids::text[]) ORDER BY id FOR UPDATE;

-- name: LockDomains :many
SELECT * FROM rolecall.domains WHERE id = ANY (@ids::text[]) ORDER BY id FOR UPDATE;

-- name: LockPermissions :many
SELECT * FROM rolecall.permissions WHERE id = ANY (@ids::text[]) ORDER BY id FOR UPDATE;

-- name: LockRoles :many
SELECT * FROM rolecall.roles WHERE id = ANY (@ids::text[]) ORDER BY id FOR UPDATE;

-- name: LockOrganizations :many
SELECT * FROM rolecall.organizations WHERE id = ANY (@ids::text[]) ORDER BY id FOR UPDATE;

-- name: LockCounts :exec
-- Locks the counts of organizations.
INSERT INTO rolecall.member_counts AS c (organization_id, members)
SELECT id, 0 FROM unnest(@organization_ids::text[]) id ORDER BY id
ON CONFLICT (organization_id) DO UPDATE SET members = c.members;

-- name: ChangeUsers :exec
UPDATE rolecall.users o
SET identifier = r.identifier, first_name = r.first_name, last_name = r.last_name, image_url = r.image_url,
    banned = r.banned, deprovisioned = r.deprovisioned, created_at = r.created_at, version = r.version,
    field_versions = r.field_versions, deleted_at = r.deleted_at, deleted_cause = r.deleted_cause,
    deleted_received_at = r.deleted_received_at, lifted_at = r.lifted_at, changed_at = clock_timestamp()
FROM (
    SELECT unnest(@id::text[]) AS id, unnest(@identifier::text[]) AS identifier,
        unnest(@first_name::text[]) AS first_name, unnest(@last_name::text[]) AS last_name,
        unnest(@image_url::text[]) AS image_url, unnest(@banned::boolean[]) AS banned,
        unnest(@deprovisioned::boolean[]) AS deprovisioned, unnest(@created_at::timestamptz[]) AS created_at,
        unnest(@version::text[])::json AS version, unnest(@field_versions::text[])::json AS field_versions,
        unnest(@deleted_at::timestamptz[]) AS deleted_at, unnest(@deleted_cause::text[]) AS deleted_cause,
        unnest(@deleted_received_at::timestamptz[]) AS deleted_received_at,
        unnest(@lifted_at::timestamptz[]) AS lifted_at
) r
WHERE o.id = r.id;

-- name: AddUsers :execrows
INSERT INTO rolecall.users (id, identifier, first_name, last_name, image_url, banned, deprovisioned, created_at,
    version, field_versions, deleted_at, deleted_cause, deleted_received_at, lifted_at, changed_at)
SELECT unnest(@id::text[]) AS id, unnest(@identifier::text[]), unnest(@first_name::text[]),
    unnest(@last_name::text[]), unnest(@image_url::text[]), unnest(@banned::boolean[]),
    unnest(@deprovisioned::boolean[]), unnest(@created_at::timestamptz[]), unnest(@version::text[])::json,
    unnest(@field_versions::text[])::json, unnest(@deleted_at::timestamptz[]), unnest(@deleted_cause::text[]),
    unnest(@deleted_received_at::timestamptz[]), unnest(@lifted_at::timestamptz[]), clock_timestamp()
ORDER BY id
ON CONFLICT (id) DO NOTHING;

-- name: ChangeMemberships :exec
UPDATE rolecall.memberships o
SET organization_id = r.organization_id, user_id = r.user_id, role = r.role, role_name = r.role_name,
    permissions = r.permissions, created_at = r.created_at, public_metadata = r.public_metadata, version = r.version,
    field_versions = r.field_versions, deleted_at = r.deleted_at, deleted_cause = r.deleted_cause,
    deleted_received_at = r.deleted_received_at, lifted_at = r.lifted_at, alive_at = r.alive_at,
    changed_at = clock_timestamp()
FROM (
    SELECT unnest(@id::text[]) AS id, unnest(@organization_id::text[]) AS organization_id,
        unnest(@user_id::text[]) AS user_id, unnest(@role::text[]) AS role, unnest(@role_name::text[]) AS role_name,
        unnest(@permissions::text[])::text[] AS permissions, unnest(@created_at::timestamptz[]) AS created_at,
        unnest(@public_metadata::text[])::json AS public_metadata, unnest(@version::text[])::json AS version,
        unnest(@field_versions::text[])::json AS field_versions, unnest(@deleted_at::timestamptz[]) AS deleted_at,
        unnest(@deleted_cause::text[]) AS deleted_cause,
        unnest(@deleted_received_at::timestamptz[]) AS deleted_received_at,
        unnest(@lifted_at::timestamptz[]) AS lifted_at, unnest(@alive_at::timestamptz[]) AS alive_at
) r
WHERE o.id = r.id;

-- name: AddMemberships :execrows
INSERT INTO rolecall.memberships (id, organization_id, user_id, role, role_name, permissions, created_at,
    public_metadata, version, field_versions, deleted_at, deleted_cause, deleted_received_at, lifted_at, alive_at,
    changed_at)
SELECT unnest(@id::text[]) AS id, unnest(@organization_id::text[]), unnest(@user_id::text[]), unnest(@role::text[]),
    unnest(@role_name::text[]), unnest(@permissions::text[])::text[], unnest(@created_at::timestamptz[]),
    unnest(@public_metadata::text[])::json, unnest(@version::text[])::json, unnest(@field_versions::text[])::json,
    unnest(@deleted_at::timestamptz[]), unnest(@deleted_cause::text[]), unnest(@deleted_received_at::timestamptz[]),
    unnest(@lifted_at::timestamptz[]), unnest(@alive_at::timestamptz[]), clock_timestamp()
ORDER BY id
ON CONFLICT (id) DO NOTHING;

-- name: ChangeInvitations :exec
UPDATE rolecall.invitations o
SET organization_id = r.organization_id, email = r.email, role = r.role, status = r.status, inviter_id = r.inviter_id,
    user_id = r.user_id, created_at = r.created_at, expires_at = r.expires_at, version = r.version,
    field_versions = r.field_versions, deleted_at = r.deleted_at, deleted_cause = r.deleted_cause,
    deleted_received_at = r.deleted_received_at, lifted_at = r.lifted_at, changed_at = clock_timestamp()
FROM (
    SELECT unnest(@id::text[]) AS id, unnest(@organization_id::text[]) AS organization_id,
        unnest(@email::text[]) AS email, unnest(@role::text[]) AS role, unnest(@status::text[]) AS status,
        unnest(@inviter_id::text[]) AS inviter_id, unnest(@user_id::text[]) AS user_id,
        unnest(@created_at::timestamptz[]) AS created_at, unnest(@expires_at::timestamptz[]) AS expires_at,
        unnest(@version::text[])::json AS version, unnest(@field_versions::text[])::json AS field_versions,
        unnest(@deleted_at::timestamptz[]) AS deleted_at, unnest(@deleted_cause::text[]) AS deleted_cause,
        unnest(@deleted_received_at::timestamptz[]) AS deleted_received_at,
        unnest(@lifted_at::timestamptz[]) AS lifted_at
) r
WHERE o.id = r.id;

-- name: AddInvitations :execrows
INSERT INTO rolecall.invitations (id, organization_id, email, role, status, inviter_id, user_id, created_at,
    expires_at, version, field_versions, deleted_at, deleted_cause, deleted_received_at, lifted_at, changed_at)
SELECT unnest(@id::text[]) AS id, unnest(@organization_id::text[]), unnest(@email::text[]), unnest(@role::text[]),
    unnest(@status::text[]), unnest(@inviter_id::text[]), unnest(@user_id::text[]),
    unnest(@created_at::timestamptz[]), unnest(@expires_at::timestamptz[]), unnest(@version::text[])::json,
    unnest(@field_versions::text[])::json, unnest(@deleted_at::timestamptz[]), unnest(@deleted_cause::text[]),
    unnest(@deleted_received_at::timestamptz[]), unnest(@lifted_at::timestamptz[]), clock_timestamp()
ORDER BY id
ON CONFLICT (id) DO NOTHING;

-- name: ChangeDomains :exec
UPDATE rolecall.domains o
SET organization_id = r.organization_id, name = r.name, enrollment_mode = r.enrollment_mode,
    verification = r.verification, created_at = r.created_at, version = r.version, field_versions = r.field_versions,
    deleted_at = r.deleted_at, deleted_cause = r.deleted_cause, deleted_received_at = r.deleted_received_at,
    lifted_at = r.lifted_at, changed_at = clock_timestamp()
FROM (
    SELECT unnest(@id::text[]) AS id, unnest(@organization_id::text[]) AS organization_id,
        unnest(@name::text[]) AS name, unnest(@enrollment_mode::text[]) AS enrollment_mode,
        unnest(@verification::text[]) AS verification, unnest(@created_at::timestamptz[]) AS created_at,
        unnest(@version::text[])::json AS version, unnest(@field_versions::text[])::json AS field_versions,
        unnest(@deleted_at::timestamptz[]) AS deleted_at, unnest(@deleted_cause::text[]) AS deleted_cause,
        unnest(@deleted_received_at::timestamptz[]) AS deleted_received_at,
        unnest(@lifted_at::timestamptz[]) AS lifted_at
) r
WHERE o.id = r.id;

-- name: AddDomains :execrows
INSERT INTO rolecall.domains (id, organization_id, name, enrollment_mode, verification, created_at, version,
    field_versions, deleted_at, deleted_cause, deleted_received_at, lifted_at, changed_at)
SELECT unnest(@id::text[]) AS id, unnest(@organization_id::text[]), unnest(@name::text[]),
    unnest(@enrollment_mode::text[]), unnest(@verification::text[]), unnest(@created_at::timestamptz[]),
    unnest(@version::text[])::json, unnest(@field_versions::text[])::json, unnest(@deleted_at::timestamptz[]),
    unnest(@deleted_cause::text[]), unnest(@deleted_received_at::timestamptz[]), unnest(@lifted_at::timestamptz[]),
    clock_timestamp()
ORDER BY id
ON CONFLICT (id) DO NOTHING;

-- name: ChangePermissions :exec
UPDATE rolecall.permissions o
SET key = r.key, name = r.name, version = r.version, field_versions = r.field_versions, deleted_at = r.deleted_at,
    deleted_cause = r.deleted_cause, deleted_received_at = r.deleted_received_at, lifted_at = r.lifted_at,
    changed_at = clock_timestamp()
FROM (
    SELECT unnest(@id::text[]) AS id, unnest(@key::text[]) AS key, unnest(@name::text[]) AS name,
        unnest(@version::text[])::json AS version, unnest(@field_versions::text[])::json AS field_versions,
        unnest(@deleted_at::timestamptz[]) AS deleted_at, unnest(@deleted_cause::text[]) AS deleted_cause,
        unnest(@deleted_received_at::timestamptz[]) AS deleted_received_at,
        unnest(@lifted_at::timestamptz[]) AS lifted_at
) r
WHERE o.id = r.id;

-- name: AddPermissions :execrows
INSERT INTO rolecall.permissions (id, key, name, version, field_versions, deleted_at, deleted_cause,
    deleted_received_at, lifted_at, changed_at)
SELECT unnest(@id::text[]) AS id, unnest(@key::text[]), unnest(@name::text[]), unnest(@version::text[])::json,
    unnest(@field_versions::text[])::json, unnest(@deleted_at::timestamptz[]), unnest(@deleted_cause::text[]),
    unnest(@deleted_received_at::timestamptz[]), unnest(@lifted_at::timestamptz[]), clock_timestamp()
ORDER BY id
ON CONFLICT (id) DO NOTHING;

-- name: ChangeRoles :exec
UPDATE rolecall.roles o
SET key = r.key, keys = r.keys, name = r.name, permission_ids = r.permission_ids, version = r.version,
    field_versions = r.field_versions, deleted_at = r.deleted_at, deleted_cause = r.deleted_cause,
    deleted_received_at = r.deleted_received_at, lifted_at = r.lifted_at, changed_at = clock_timestamp()
FROM (
    SELECT unnest(@id::text[]) AS id, unnest(@key::text[]) AS key, unnest(@keys::text[])::jsonb AS keys,
        unnest(@name::text[]) AS name, unnest(@permission_ids::text[])::text[] AS permission_ids,
        unnest(@version::text[])::json AS version, unnest(@field_versions::text[])::json AS field_versions,
        unnest(@deleted_at::timestamptz[]) AS deleted_at, unnest(@deleted_cause::text[]) AS deleted_cause,
        unnest(@deleted_received_at::timestamptz[]) AS deleted_received_at,
        unnest(@lifted_at::timestamptz[]) AS lifted_at
) r
WHERE o.id = r.id;

-- name: AddRoles :execrows
INSERT INTO rolecall.roles (id, key, keys, name, permission_ids, version, field_versions, deleted_at, deleted_cause,
    deleted_received_at, lifted_at, changed_at)
SELECT unnest(@id::text[]) AS id, unnest(@key::text[]), unnest(@keys::text[])::jsonb, unnest(@name::text[]),
    unnest(@permission_ids::text[])::text[], unnest(@version::text[])::json, unnest(@field_versions::text[])::json,
    unnest(@deleted_at::timestamptz[]), unnest(@deleted_cause::text[]), unnest(@deleted_received_at::timestamptz[]),
    unnest(@lifted_at::timestamptz[]), clock_timestamp()
ORDER BY id
ON CONFLICT (id) DO NOTHING;

-- name: ChangeOrganizations :exec
UPDATE rolecall.organizations o
SET name = r.name, slug = r.slug, image_url = r.image_url, created_by = r.created_by, created_at = r.created_at,
    public_metadata = r.public_metadata, version = r.version, field_versions = r.field_versions,
    deleted_at = r.deleted_at, deleted_cause = r.deleted_cause, role_set_key = r.role_set_key,
    deleted_received_at = r.deleted_received_at, lifted_at = r.lifted_at, max_memberships = r.max_memberships,
    changed_at = clock_timestamp()
FROM (
    SELECT unnest(@id::text[]) AS id, unnest(@name::text[]) AS name, unnest(@slug::text[]) AS slug,
        unnest(@image_url::text[]) AS image_url, unnest(@created_by::text[]) AS created_by,
        unnest(@created_at::timestamptz[]) AS created_at, unnest(@public_metadata::text[])::json AS public_metadata,
        unnest(@version::text[])::json AS version, unnest(@field_versions::text[])::json AS field_versions,
        unnest(@deleted_at::timestamptz[]) AS deleted_at, unnest(@deleted_cause::text[]) AS deleted_cause,
        unnest(@role_set_key::text[]) AS role_set_key,
        unnest(@deleted_received_at::timestamptz[]) AS deleted_received_at,
        unnest(@lifted_at::timestamptz[]) AS lifted_at, unnest(@max_memberships::bigint[]) AS max_memberships
) r
WHERE o.id = r.id;

-- name: AddOrganizations :execrows
INSERT INTO rolecall.organizations (id, name, slug, image_url, created_by, created_at, public_metadata, version,
    field_versions, deleted_at, deleted_cause, role_set_key, deleted_received_at, lifted_at, max_memberships, changed_at)
SELECT unnest(@id::text[]) AS id, unnest(@name::text[]), unnest(@slug::text[]), unnest(@image_url::text[]),
    unnest(@created_by::text[]), unnest(@created_at::timestamptz[]), unnest(@public_metadata::text[])::json,
    unnest(@version::text[])::json, unnest(@field_versions::text[])::json, unnest(@deleted_at::timestamptz[]),
    unnest(@deleted_cause::text[]), unnest(@role_set_key::text[]), unnest(@deleted_received_at::timestamptz[]),
    unnest(@lifted_at::timestamptz[]), unnest(@max_memberships::bigint[]), clock_timestamp()
ORDER BY id
ON CONFLICT (id) DO NOTHING;
