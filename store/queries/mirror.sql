-- Locking and saving objects of the mirror. A lock query makes the row if there is none, so that two workers who
-- first hear of one object at the same time wait for each other. Callers lock users, memberships, invitations, domains,
-- permissions, roles, organizations, in this order and each by id, so that they can't deadlock.

-- name: ReadUsers :many
SELECT * FROM rolecall.users WHERE id = ANY (@ids::text[]);

-- name: ReadPermissions :many
SELECT * FROM rolecall.permissions WHERE id = ANY (@ids::text[]);

-- name: ReadOrganizations :many
SELECT * FROM rolecall.organizations WHERE id = ANY (@ids::text[]);

-- name: LockUsers :many
INSERT INTO rolecall.users (id) SELECT unnest(@ids::text[])
ON CONFLICT (id) DO UPDATE SET id = excluded.id
RETURNING *;

-- name: LockMemberships :many
INSERT INTO rolecall.memberships (id, organization_id, user_id)
SELECT unnest(@ids::text[]), unnest(@organization_ids::text[]), unnest(@user_ids::text[])
ON CONFLICT (id) DO UPDATE SET id = excluded.id
RETURNING *;

-- name: LockOrganizations :many
INSERT INTO rolecall.organizations (id) SELECT unnest(@ids::text[])
ON CONFLICT (id) DO UPDATE SET id = excluded.id
RETURNING *;

-- name: SaveUsers :batchexec
UPDATE rolecall.users
SET identifier = @identifier, first_name = @first_name, last_name = @last_name, image_url = @image_url,
    banned = @banned, deprovisioned = @deprovisioned, created_at = @created_at, version = @version,
    field_versions = @field_versions, deleted_at = @deleted_at, deleted_cause = @deleted_cause
WHERE id = @id;

-- name: SaveMemberships :batchexec
UPDATE rolecall.memberships
SET organization_id = @organization_id, user_id = @user_id, role = @role, role_name = @role_name,
    permissions = @permissions, created_at = @created_at, public_metadata = @public_metadata, version = @version,
    field_versions = @field_versions, deleted_at = @deleted_at, deleted_cause = @deleted_cause
WHERE id = @id;

-- name: SaveOrganizations :batchexec
UPDATE rolecall.organizations
SET name = @name, slug = @slug, image_url = @image_url, created_by = @created_by, created_at = @created_at,
    public_metadata = @public_metadata, version = @version, field_versions = @field_versions,
    deleted_at = @deleted_at, deleted_cause = @deleted_cause
WHERE id = @id;

-- name: LockInvitations :many
INSERT INTO rolecall.invitations (id) SELECT unnest(@ids::text[])
ON CONFLICT (id) DO UPDATE SET id = excluded.id
RETURNING *;

-- name: LockDomains :many
INSERT INTO rolecall.domains (id) SELECT unnest(@ids::text[])
ON CONFLICT (id) DO UPDATE SET id = excluded.id
RETURNING *;

-- name: LockPermissions :many
INSERT INTO rolecall.permissions (id) SELECT unnest(@ids::text[])
ON CONFLICT (id) DO UPDATE SET id = excluded.id
RETURNING *;

-- name: LockRoles :many
INSERT INTO rolecall.roles (id) SELECT unnest(@ids::text[])
ON CONFLICT (id) DO UPDATE SET id = excluded.id
RETURNING *;

-- name: SaveInvitations :batchexec
UPDATE rolecall.invitations
SET organization_id = @organization_id, email = @email, role = @role, status = @status, inviter_id = @inviter_id,
    user_id = @user_id, created_at = @created_at, expires_at = @expires_at, version = @version,
    field_versions = @field_versions, deleted_at = @deleted_at, deleted_cause = @deleted_cause
WHERE id = @id;

-- name: SaveDomains :batchexec
UPDATE rolecall.domains
SET organization_id = @organization_id, name = @name, enrollment_mode = @enrollment_mode, verification = @verification,
    created_at = @created_at, version = @version, field_versions = @field_versions, deleted_at = @deleted_at,
    deleted_cause = @deleted_cause
WHERE id = @id;

-- name: SavePermissions :batchexec
UPDATE rolecall.permissions
SET key = @key, name = @name, version = @version, field_versions = @field_versions, deleted_at = @deleted_at,
    deleted_cause = @deleted_cause
WHERE id = @id;

-- name: SaveRoles :batchexec
UPDATE rolecall.roles
SET key = @key, keys = @keys, name = @name, permission_ids = @permission_ids, version = @version,
    field_versions = @field_versions, deleted_at = @deleted_at, deleted_cause = @deleted_cause
WHERE id = @id;
