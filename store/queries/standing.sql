-- name: Standings :many
-- What a decision needs to know about each user in an organization, in the order of the pairs. The
-- pair's last membership counts, also if it has ended. Clerk has at most one at a time, so an older
-- one that seems to live has ended, and its event hasn't come yet. One execution is for many pairs,
-- as of one moment. Its sessions keep one plan for any number of pairs (plan_cache_mode), because
-- Postgres would else plan anew each time, which takes five times as long as the answer. So each
-- table is looked up by itself (OFFSET 0), whatever the number of pairs.
SELECT (o.deleted_at IS NOT NULL)::boolean AS organization_dead,
    (u.deleted_at IS NOT NULL)::boolean AS user_dead,
    coalesce(u.banned, false)::boolean AS user_banned,
    coalesce(u.deprovisioned, false)::boolean AS user_deprovisioned,
    (m.id IS NOT NULL)::boolean AS ever_member,
    (m.id IS NOT NULL AND m.deleted_at IS NULL)::boolean AS member,
    coalesce(m.role, '')::text AS role,
    coalesce(m.permissions, '{}')::text[] AS permissions,
    coalesce(r.revision + coalesce(i.revision, 0), 0)::bigint AS revision,
    -- The last instant at which the workspace here, roles and accounts included, is known to have
    -- agreed with Clerk: the last clean sweep of everything. An event doesn't count: it proves
    -- nothing about another one that was lost. A sweep of one organization doesn't count: it lists
    -- no roles. Before the first sweep it is the workspace's beginning, unless that is in the
    -- future, which is a clock's error or worse. 'epoch' means never, or an unknown workspace.
    (CASE
        WHEN r.organization_id IS NULL THEN 'epoch'
        WHEN i.verified_at IS NOT NULL THEN i.verified_at
        WHEN o.created_at < now() + interval '1 minute' THEN least(o.created_at, now())
        ELSE 'epoch'
    END)::timestamptz AS as_of
FROM (
    SELECT unnest(@organization_ids::text[]) AS organization_id, unnest(@user_ids::text[]) AS user_id,
        generate_subscripts(@user_ids::text[], 1) AS n
) pair
LEFT JOIN LATERAL (
    SELECT id, deleted_at, created_at FROM rolecall.organizations WHERE id = pair.organization_id OFFSET 0
) o ON true
LEFT JOIN LATERAL (
    SELECT id, deleted_at, banned, deprovisioned FROM rolecall.users WHERE id = pair.user_id OFFSET 0
) u ON true
LEFT JOIN LATERAL (
    SELECT organization_id, revision FROM rolecall.revisions WHERE organization_id = pair.organization_id OFFSET 0
) r ON true
LEFT JOIN LATERAL (
    SELECT id, role, permissions, deleted_at FROM rolecall.effective_memberships
    WHERE organization_id = pair.organization_id AND user_id = pair.user_id
    ORDER BY counts DESC, created_at DESC, deleted_at IS NULL DESC, id DESC LIMIT 1
) m ON true
LEFT JOIN rolecall.revisions i ON i.organization_id = '' -- of what concerns all: roles and permissions
ORDER BY pair.n;

-- name: UserStatus :one
-- Whether an account may do anything at all. No row: nothing is known against it.
SELECT (deleted_at IS NOT NULL)::boolean AS dead, banned, deprovisioned FROM rolecall.users WHERE id = @id;

-- name: WorkspacesOfUser :many
-- One page of the organizations that a user is a live member of, oldest membership first, after the
-- given position. Roles are worked out for the page alone.
SELECT p.organization_id, coalesce(o.name, '')::text AS name, o.slug, m.role::text AS role,
    m.permissions::text[] AS permissions, p.joined_at
FROM (
    SELECT l.id, l.organization_id, l.joined_at FROM rolecall.current_memberships l
    WHERE l.user_id = @user_id AND (l.joined_at, l.organization_id) > (@after_joined_at::timestamptz, @after_id::text)
    ORDER BY l.joined_at, l.organization_id
    LIMIT @page_size::integer
) p
JOIN rolecall.effective_memberships m ON m.id = p.id
LEFT JOIN rolecall.organizations o ON o.id = p.organization_id
ORDER BY p.joined_at, p.organization_id;
