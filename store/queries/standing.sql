-- name: Standings :many
-- What a decision needs to know about pairs of a user and an organization, as of one moment: a row
-- for each membership of a pair, or one row without a membership. The pair's current membership
-- counts; without one, the user isn't a member, and any other one says that the user was. Role and
-- permissions are as the membership has them: package store resolves them by the roles. The first
-- pair's rows have these, too, unless the caller knows them by their stamp. A pair may come with the
-- sessions in which it is asked about, the user's and an impersonator's, and with the impersonator,
-- whose account may be refused; '' stands for none. The revision named '' is of what concerns all:
-- roles and permissions.
--
-- Each table is looked up for each pair (OFFSET 0): Postgres can't guess how many there are. The
-- sessions keep the plan (pgpool.Needs.ByKey): for arrays, Postgres may otherwise plan each time.
SELECT pair.n::integer AS n,
    (o.deleted_at IS NOT NULL)::boolean AS organization_dead,
    (u.deleted_at IS NOT NULL)::boolean AS user_dead,
    coalesce(u.banned, false)::boolean AS user_banned,
    coalesce(u.deprovisioned, false)::boolean AS user_deprovisioned,
    (m.followed IS NOT NULL)::boolean AS ever_member,
    (m.deleted_at IS NULL AND m.followed IS FALSE)::boolean AS member,
    coalesce(m.role, '')::text AS role,
    m.permissions::text[] AS permissions,
    m.role_version::json AS role_version,
    (s.ended IS NOT NULL OR a.refused IS NOT NULL)::boolean AS session_ended,
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
    END)::timestamptz AS as_of,
    (CASE WHEN pair.n = 1 AND (i.roles_stamp = nullif(@roles_stamp::text, '')::uuid) IS NOT TRUE
        THEN json_build_object('stamp', i.roles_stamp, 'roles', rolecall.role_keys()) END)::json AS roles
FROM (
    SELECT unnest(@organization_ids::text[]) AS organization_id, unnest(@user_ids::text[]) AS user_id,
        unnest(@session_ids::text[]) AS session_id, unnest(@impersonator_session_ids::text[]) AS impersonator_session_id,
        unnest(@impersonators::text[]) AS impersonator,
        generate_subscripts(@user_ids::text[], 1) AS n
) pair
LEFT JOIN LATERAL (
    SELECT deleted_at, created_at FROM rolecall.organizations WHERE id = pair.organization_id OFFSET 0
) o ON true
LEFT JOIN LATERAL (
    SELECT deleted_at, banned, deprovisioned FROM rolecall.users WHERE id = pair.user_id OFFSET 0
) u ON true
LEFT JOIN LATERAL (
    SELECT organization_id, revision FROM rolecall.revisions WHERE organization_id = pair.organization_id OFFSET 0
) r ON true
LEFT JOIN LATERAL (
    SELECT role, permissions, coalesce(field_versions -> 'role', version) AS role_version, deleted_at, followed
    FROM rolecall.memberships WHERE organization_id = pair.organization_id AND user_id = pair.user_id OFFSET 0
) m ON true
LEFT JOIN LATERAL (
    SELECT true AS ended FROM rolecall.ended_sessions WHERE id IN (pair.session_id, pair.impersonator_session_id) LIMIT 1
) s ON true
LEFT JOIN LATERAL (
    SELECT true AS refused FROM rolecall.users
    WHERE pair.impersonator <> '' AND id = pair.impersonator AND (deleted_at IS NOT NULL OR banned OR deprovisioned) OFFSET 0
) a ON true
LEFT JOIN rolecall.revisions i ON i.organization_id = '';

-- name: Standing :many
-- What Standings says of a single pair, to a caller who knows the roles by their stamp. It takes
-- Postgres a quarter less time: it unfolds no list, and works out fewer values. There is no row if
-- the stamp doesn't hold any more. A caller asks Standings then, and if several roles had the
-- membership's key: when the membership got it isn't said here.
SELECT (o.deleted_at IS NOT NULL)::boolean AS organization_dead,
    (u.deleted_at IS NOT NULL)::boolean AS user_dead,
    coalesce(u.banned, false)::boolean AS user_banned,
    coalesce(u.deprovisioned, false)::boolean AS user_deprovisioned,
    (m.followed IS NOT NULL)::boolean AS ever_member,
    (m.deleted_at IS NULL AND m.followed IS FALSE)::boolean AS member,
    coalesce(m.role, '')::text AS role,
    m.permissions::text[] AS permissions,
    (EXISTS (SELECT FROM rolecall.ended_sessions s WHERE s.id IN (@session_id, @impersonator_session_id))
        OR @impersonator::text <> '' AND EXISTS (
            SELECT FROM rolecall.users a WHERE a.id = @impersonator AND (a.deleted_at IS NOT NULL OR a.banned OR a.deprovisioned)
        ))::boolean AS session_ended,
    coalesce(r.revision + i.revision, 0)::bigint AS revision,
    (CASE
        WHEN r.organization_id IS NULL THEN 'epoch'
        WHEN i.verified_at IS NOT NULL THEN i.verified_at
        WHEN o.created_at < now() + interval '1 minute' THEN least(o.created_at, now())
        ELSE 'epoch'
    END)::timestamptz AS as_of
FROM rolecall.revisions i
LEFT JOIN rolecall.organizations o ON o.id = @organization_id
LEFT JOIN rolecall.users u ON u.id = @user_id
LEFT JOIN rolecall.revisions r ON r.organization_id = @organization_id
LEFT JOIN rolecall.memberships m ON m.organization_id = @organization_id AND m.user_id = @user_id
WHERE i.organization_id = '' AND i.roles_stamp = cast(@roles_stamp::text AS uuid);

-- name: UserStatus :one
-- Whether an account may do anything at all, and whether one of the sessions has ended in which it
-- acts, or the account of its impersonator is refused.
SELECT (u.deleted_at IS NOT NULL)::boolean AS dead, coalesce(u.banned, false)::boolean AS banned,
    coalesce(u.deprovisioned, false)::boolean AS deprovisioned,
    (EXISTS (SELECT FROM rolecall.ended_sessions WHERE id = ANY (@session_ids::text[]))
        OR EXISTS (
            SELECT FROM rolecall.users a WHERE a.id = @impersonator AND (a.deleted_at IS NOT NULL OR a.banned OR a.deprovisioned)
        ))::boolean AS session_ended
FROM (SELECT @id::text AS id) asked
LEFT JOIN rolecall.users u ON u.id = asked.id;

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
