-- name: Standings :many
-- What the mirror knows about each pair of user and organization: all that a decision needs. If a pair has two live
-- memberships, the newest counts (design §3).
SELECT q.user_id::text AS user_id, q.organization_id::text AS organization_id,
    (o.deleted_at IS NOT NULL)::boolean AS organization_dead,
    (u.deleted_at IS NOT NULL)::boolean AS user_dead,
    coalesce(u.banned, false)::boolean AS user_banned,
    coalesce(u.deprovisioned, false)::boolean AS user_deprovisioned,
    (m.id IS NOT NULL)::boolean AS ever_member,
    (m.id IS NOT NULL AND m.deleted_at IS NULL)::boolean AS member,
    coalesce(m.role, '')::text AS role,
    m.permissions,
    coalesce(r.revision, 0)::bigint AS revision,
    r.as_of
FROM (SELECT unnest(@user_ids::text[]) AS user_id, unnest(@organization_ids::text[]) AS organization_id) q
LEFT JOIN rolecall.organizations o ON o.id = q.organization_id
LEFT JOIN rolecall.users u ON u.id = q.user_id
LEFT JOIN rolecall.revisions r ON r.organization_id = q.organization_id
LEFT JOIN LATERAL (
    SELECT id, role, permissions, deleted_at FROM rolecall.memberships
    WHERE organization_id = q.organization_id AND user_id = q.user_id
    ORDER BY deleted_at IS NULL DESC, created_at DESC NULLS LAST, id DESC LIMIT 1
) m ON true;

-- name: UserStatus :one
-- Whether an account may do anything at all. No row means that nothing is known against it.
SELECT (deleted_at IS NOT NULL)::boolean AS dead, banned, deprovisioned FROM rolecall.users WHERE id = @id;

-- name: WorkspacesOfUser :many
-- The organizations that a user is a live member of, oldest membership first.
SELECT l.organization_id, coalesce(o.name, '')::text AS name, o.slug, l.role, l.permissions
FROM rolecall.live_members l
LEFT JOIN rolecall.organizations o ON o.id = l.organization_id
WHERE l.user_id = @user_id
ORDER BY l.joined_at, l.organization_id;
