-- name: Standings :batchone
-- What a decision needs to know about a user in an organization. The pair's last membership counts,
-- also if it has ended. Clerk has at most one at a time, so an older one that seems to live has
-- ended, and its event hasn't come yet. Each execution is for one pair, because Postgres then keeps
-- the plan. For an array, whose length it can't guess, it would plan anew each time. That takes
-- five times as long as the answer.
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
FROM (SELECT 1) one
LEFT JOIN rolecall.organizations o ON o.id = @organization_id
LEFT JOIN rolecall.users u ON u.id = @user_id
LEFT JOIN rolecall.revisions r ON r.organization_id = @organization_id
LEFT JOIN rolecall.revisions i ON i.organization_id = '' -- of what concerns all: roles and permissions
LEFT JOIN LATERAL (
    SELECT id, role, permissions, deleted_at FROM rolecall.effective_memberships
    WHERE organization_id = @organization_id AND user_id = @user_id
    ORDER BY counts DESC, created_at DESC, deleted_at IS NULL DESC, id DESC LIMIT 1
) m ON true;

-- name: UserStatus :one
-- Whether an account may do anything at all. No row: nothing is known against it.
SELECT (deleted_at IS NOT NULL)::boolean AS dead, banned, deprovisioned FROM rolecall.users WHERE id = @id;

-- name: WorkspacesOfUser :many
-- One page of the organizations that a user is a live member of, oldest membership first, after the
-- given position. The user's own rows are sorted first, so that all else is read for the page
-- alone.
SELECT l.organization_id, coalesce(o.name, '')::text AS name, o.slug, l.role::text AS role,
    l.permissions::text[] AS permissions, l.joined_at
FROM (
    SELECT m.id, m.created_at, m.organization_id FROM rolecall.memberships m
    WHERE m.user_id = @user_id AND m.deleted_at IS NULL
        AND (m.created_at, m.organization_id) > (@after_joined_at::timestamptz, @after_id::text)
    ORDER BY m.created_at, m.organization_id
    OFFSET 0
) own
JOIN rolecall.live_members l ON l.id = own.id
LEFT JOIN rolecall.organizations o ON o.id = l.organization_id
ORDER BY own.created_at, own.organization_id
LIMIT @page_size::integer;
