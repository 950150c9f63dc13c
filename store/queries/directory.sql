-- The directory: workspaces and people as support sees them, also those that are deleted, banned or deprovisioned.
--
-- Texts are compared without regard to case. The expressions are those of the indexes of migration 00044, which hold the first 64
-- characters. A text that begins with another one lies between that one and the same text with the last of all characters behind it. What
-- an index finds is compared whole outside: inside, Postgres would guess that few rows match, and sort all of them instead of reading the
-- first ones. Living and deleted ones have indexes of their own, so that no number of deleted ones hides a living one. Every list ends at
-- a limit, also within a query: none counts all rows.

-- name: FindWorkspaceIDs :many
-- The workspaces that a text names, the nearest first: by id (1), exact slug or name (2), or how the name begins (4).
SELECT found.id, min(found.nearness)::integer AS nearness FROM (
    (SELECT o.id, 1 AS nearness FROM rolecall.organizations o WHERE o.id = @text)
    UNION ALL
    (SELECT m.organization_id, 1 FROM rolecall.memberships m WHERE m.organization_id = @text LIMIT 1)
    UNION ALL
    (SELECT o.id, 2 FROM rolecall.organizations o
        WHERE o.slug = lower(@text) AND o.deleted_at IS NULL AND octet_length(o.slug) < 64 LIMIT @most)
    UNION ALL
    (SELECT o.id, 2 FROM rolecall.organizations o
        WHERE o.slug = lower(@text) AND o.deleted_at IS NOT NULL AND octet_length(o.slug) < 64 LIMIT @most)
    UNION ALL
    (SELECT o.id, CASE WHEN lower(o.name) = lower(@text) THEN 2 WHEN starts_with(lower(o.name), lower(@text)) THEN 4 END
        FROM rolecall.organizations o
        WHERE o.deleted_at IS NULL AND lower(left(o.name, 64)) COLLATE "C" >= lower(left(@text, 64))
            AND lower(left(o.name, 64)) COLLATE "C" <= lower(left(@text, 64)) || chr(1114111)
        ORDER BY lower(left(o.name, 64)) COLLATE "C", o.id LIMIT @most)
    UNION ALL
    (SELECT o.id, CASE WHEN lower(o.name) = lower(@text) THEN 2 WHEN starts_with(lower(o.name), lower(@text)) THEN 4 END
        FROM rolecall.organizations o
        WHERE o.deleted_at IS NOT NULL AND lower(left(o.name, 64)) COLLATE "C" >= lower(left(@text, 64))
            AND lower(left(o.name, 64)) COLLATE "C" <= lower(left(@text, 64)) || chr(1114111)
        ORDER BY lower(left(o.name, 64)) COLLATE "C", o.id LIMIT @most)
) found
WHERE found.nearness IS NOT NULL
GROUP BY found.id
ORDER BY nearness, found.id;

-- name: WorkspaceIDsByName :many
-- One page of the live workspaces whose names begin with a text, by name and id, after the given position. Only the first 64 characters
-- of the text count. The position is also where the text begins: so the index is read from there on.
SELECT o.id, (lower(left(o.name, 64)) COLLATE "C")::text AS folded FROM rolecall.organizations o
WHERE o.deleted_at IS NULL AND (lower(left(o.name, 64)) COLLATE "C", o.id) > (CASE WHEN @after_folded::text = '' THEN lower(left(@text::text, 64)) ELSE @after_folded END, @after_id::text)
    AND lower(left(o.name, 64)) COLLATE "C" <= lower(left(@text, 64)) || chr(1114111)
ORDER BY lower(left(o.name, 64)) COLLATE "C", o.id
LIMIT @page_size::integer;

-- name: DeletedWorkspaceIDsByName :many
-- What WorkspaceIDsByName says of the deleted ones.
SELECT o.id, (lower(left(o.name, 64)) COLLATE "C")::text AS folded FROM rolecall.organizations o
WHERE o.deleted_at IS NOT NULL AND (lower(left(o.name, 64)) COLLATE "C", o.id) > (CASE WHEN @after_folded::text = '' THEN lower(left(@text::text, 64)) ELSE @after_folded END, @after_id::text)
    AND lower(left(o.name, 64)) COLLATE "C" <= lower(left(@text, 64)) || chr(1114111)
ORDER BY lower(left(o.name, 64)) COLLATE "C", o.id
LIMIT @page_size::integer;

-- name: DirectoryWorkspaces :many
-- What support sees of some workspaces, in the given order. The holders of a permission are counted among the members who joined
-- first: at most @looked members are looked at, and at most @most holders counted. The newest change is that of the workspace's newest
-- audit entry that no service appended, as far as the newest 50 entries tell.
SELECT listed.id::text AS id, coalesce(o.name, '')::text AS name, o.slug, o.image_url, o.created_at, o.created_by, o.role_set_key, o.deleted_at,
    coalesce(o.deleted_cause, '')::text AS deleted_cause, (CASE WHEN o.deleted_at IS NULL THEN coalesce(c.members, 0) ELSE 0 END)::bigint AS members, holders.n::bigint AS holders,
    (o.deleted_at IS NULL AND (holders.candidates >= @most::integer OR coalesce(c.members, 0) > @looked::integer))::boolean AS more_holders,
    coalesce(newest.at, o.changed_at, 'epoch')::timestamptz AS changed_at, (o.id IS NOT NULL)::boolean AS known
FROM (SELECT unnest(@ids::text[]) AS id, generate_subscripts(@ids::text[], 1) AS n) listed
LEFT JOIN LATERAL (SELECT * FROM rolecall.organizations WHERE id = listed.id OFFSET 0) o ON true
LEFT JOIN LATERAL (SELECT members FROM rolecall.member_counts WHERE organization_id = listed.id OFFSET 0) c ON true
JOIN LATERAL (
    SELECT count(*) AS candidates, count(*) FILTER (WHERE EXISTS (
        SELECT FROM rolecall.current_memberships l JOIN rolecall.effective_memberships e ON e.id = l.id
        WHERE l.id = candidate.id AND (@permission::text = ANY (e.permissions)
            OR EXISTS (SELECT FROM rolecall.grants g WHERE g.role = e.role AND g.permission = @permission))
    )) AS n
    FROM (
        SELECT first.id FROM (
            SELECT m.id, m.role, m.permissions FROM rolecall.memberships m
            WHERE m.organization_id = listed.id AND m.deleted_at IS NULL AND NOT m.followed
            ORDER BY m.created_at, m.id
            LIMIT @looked::integer
        ) first
        WHERE @permission::text = ANY (first.permissions) OR first.role IN (
            SELECT g.role FROM rolecall.grants g WHERE g.permission = @permission
            UNION
            SELECT named.key FROM rolecall.roles r, jsonb_each(r.keys) named
            WHERE EXISTS (SELECT FROM rolecall.grants g WHERE g.role = r.key AND g.permission = @permission)
                OR EXISTS (SELECT FROM rolecall.permissions p WHERE p.id = ANY (r.permission_ids) AND p.key = @permission)
        )
        LIMIT @most::integer
    ) candidate
) holders ON true
LEFT JOIN LATERAL (
    SELECT max(entry.at)::timestamptz AS at FROM (
        SELECT a.at, a.cause FROM rolecall.audit_log a WHERE a.organization_id = listed.id ORDER BY a.at DESC, a.seq DESC LIMIT 50
    ) entry
    WHERE entry.cause NOT LIKE 'service:%'
) newest ON true
ORDER BY listed.n;

-- name: WorkspaceRevision :one
-- The revision and the as-of of a workspace, as Standings says them; 'epoch' stands for never.
SELECT coalesce(r.revision + coalesce(i.revision, 0), 0)::bigint AS revision,
    (CASE
        WHEN r.organization_id IS NULL THEN 'epoch'
        WHEN i.verified_at IS NOT NULL THEN i.verified_at
        WHEN o.created_at < now() + interval '1 minute' THEN least(o.created_at, now())
        ELSE 'epoch'
    END)::timestamptz AS as_of
FROM (SELECT @id::text AS id) asked
LEFT JOIN rolecall.organizations o ON o.id = asked.id
LEFT JOIN rolecall.revisions r ON r.organization_id = asked.id
LEFT JOIN rolecall.revisions i ON i.organization_id = '';

-- name: WorkspaceDomains :many
SELECT d.id, d.name, d.enrollment_mode, d.verification, d.created_at FROM rolecall.domains d
WHERE d.organization_id = @organization_id AND d.deleted_at IS NULL
ORDER BY d.name, d.id
LIMIT @page_size::integer;

-- name: OpenInvitations :many
-- One page of an organization's invitations that wait for an answer, expired ones included, in the order in which they were made.
SELECT i.id, i.email, i.role, i.inviter_id, i.created_at, i.expires_at, u.identifier AS inviter_identifier,
    u.first_name AS inviter_first_name, u.last_name AS inviter_last_name
FROM (
    SELECT * FROM rolecall.invitations w
    WHERE w.organization_id = @organization_id AND w.deleted_at IS NULL AND w.status IN ('pending', 'expired')
        AND (w.created_at, w.id) > (@after_created_at::timestamptz, @after_id::text)
    ORDER BY w.created_at, w.id
    LIMIT @page_size::integer
) i
LEFT JOIN rolecall.users u ON u.id = i.inviter_id
ORDER BY i.created_at, i.id;

-- name: DirectoryMembers :many
-- One page of an organization's members in the order of joining, after the given position, also of those who may not act. Who invited a
-- member is in the newest invitation that the member accepted then.
SELECT p.id, p.user_id, m.role::text AS role, m.role_name, m.permissions::text[] AS permissions, p.created_at AS joined_at, u.identifier, u.first_name, u.last_name,
    coalesce(u.banned, false)::boolean AS banned, coalesce(u.deprovisioned, false)::boolean AS deprovisioned, u.deleted_at,
    i.inviter_id, v.identifier AS inviter_identifier, v.first_name AS inviter_first_name, v.last_name AS inviter_last_name
FROM (
    SELECT l.id, l.user_id, l.organization_id, l.created_at FROM rolecall.memberships l
    WHERE l.organization_id = @organization_id AND l.deleted_at IS NULL AND NOT l.followed
        AND (l.created_at, l.id) > (@after_joined_at::timestamptz, @after_id::text)
    ORDER BY l.created_at, l.id
    LIMIT @page_size::integer
) p
JOIN rolecall.effective_memberships m ON m.id = p.id
LEFT JOIN rolecall.users u ON u.id = p.user_id
LEFT JOIN LATERAL (
    SELECT a.inviter_id FROM rolecall.invitations a
    WHERE a.user_id = p.user_id AND a.organization_id = p.organization_id AND a.status = 'accepted' AND a.created_at <= p.created_at + interval '1 minute'
        -- The query Provenance has the same rule.
        AND to_timestamp((coalesce(a.field_versions -> 'status', a.version)::jsonb ->> 'u')::float8 / 1000) > p.created_at - interval '1 minute'
    ORDER BY a.created_at DESC, a.id
    LIMIT 1
) i ON true
LEFT JOIN rolecall.users v ON v.id = i.inviter_id
ORDER BY p.created_at, p.id;

-- name: FindUserIDs :many
-- The people whom a text names, the nearest first: by id (1), exact identifier (2), exact name (3), or how identifier, name or last name
-- begins (4). The last names of deleted ones aren't looked at.
SELECT found.id, min(found.nearness)::integer AS nearness FROM (
    (SELECT u.id, 1 AS nearness FROM rolecall.users u WHERE u.id = @text)
    UNION ALL
    (SELECT m.user_id, 1 FROM rolecall.memberships m WHERE m.user_id = @text LIMIT 1)
    UNION ALL
    (SELECT u.id, CASE WHEN lower(coalesce(u.identifier, '')) = lower(@text) THEN 2 WHEN starts_with(lower(coalesce(u.identifier, '')), lower(@text)) THEN 4 END
        FROM rolecall.users u
        WHERE u.deleted_at IS NULL AND lower(left(coalesce(u.identifier, ''), 64)) COLLATE "C" >= lower(left(@text, 64))
            AND lower(left(coalesce(u.identifier, ''), 64)) COLLATE "C" <= lower(left(@text, 64)) || chr(1114111)
        ORDER BY lower(left(coalesce(u.identifier, ''), 64)) COLLATE "C", u.id LIMIT @most)
    UNION ALL
    (SELECT u.id, CASE WHEN lower(btrim(coalesce(u.first_name, '') || ' ' || coalesce(u.last_name, ''))) = lower(@text) THEN 3 WHEN starts_with(lower(btrim(coalesce(u.first_name, '') || ' ' || coalesce(u.last_name, ''))), lower(@text)) THEN 4 END
        FROM rolecall.users u
        WHERE u.deleted_at IS NULL AND lower(left(btrim(coalesce(u.first_name, '') || ' ' || coalesce(u.last_name, '')), 64)) COLLATE "C" >= lower(left(@text, 64))
            AND lower(left(btrim(coalesce(u.first_name, '') || ' ' || coalesce(u.last_name, '')), 64)) COLLATE "C" <= lower(left(@text, 64)) || chr(1114111)
        ORDER BY lower(left(btrim(coalesce(u.first_name, '') || ' ' || coalesce(u.last_name, '')), 64)) COLLATE "C", u.id LIMIT @most)
    UNION ALL
    (SELECT u.id, CASE WHEN lower(coalesce(u.identifier, '')) = lower(@text) THEN 2 WHEN starts_with(lower(coalesce(u.identifier, '')), lower(@text)) THEN 4 END
        FROM rolecall.users u
        WHERE u.deleted_at IS NOT NULL AND lower(left(coalesce(u.identifier, ''), 64)) COLLATE "C" >= lower(left(@text, 64))
            AND lower(left(coalesce(u.identifier, ''), 64)) COLLATE "C" <= lower(left(@text, 64)) || chr(1114111)
        ORDER BY lower(left(coalesce(u.identifier, ''), 64)) COLLATE "C", u.id LIMIT @most)
    UNION ALL
    (SELECT u.id, CASE WHEN lower(btrim(coalesce(u.first_name, '') || ' ' || coalesce(u.last_name, ''))) = lower(@text) THEN 3 WHEN starts_with(lower(btrim(coalesce(u.first_name, '') || ' ' || coalesce(u.last_name, ''))), lower(@text)) THEN 4 END
        FROM rolecall.users u
        WHERE u.deleted_at IS NOT NULL AND lower(left(btrim(coalesce(u.first_name, '') || ' ' || coalesce(u.last_name, '')), 64)) COLLATE "C" >= lower(left(@text, 64))
            AND lower(left(btrim(coalesce(u.first_name, '') || ' ' || coalesce(u.last_name, '')), 64)) COLLATE "C" <= lower(left(@text, 64)) || chr(1114111)
        ORDER BY lower(left(btrim(coalesce(u.first_name, '') || ' ' || coalesce(u.last_name, '')), 64)) COLLATE "C", u.id LIMIT @most)
    UNION ALL
    (SELECT u.id, CASE WHEN starts_with(lower(u.last_name), lower(@text)) THEN 4 END
        FROM rolecall.users u
        WHERE u.deleted_at IS NULL AND u.last_name IS NOT NULL AND lower(left(u.last_name, 64)) COLLATE "C" >= lower(left(@text, 64))
            AND lower(left(u.last_name, 64)) COLLATE "C" <= lower(left(@text, 64)) || chr(1114111)
        ORDER BY lower(left(u.last_name, 64)) COLLATE "C", u.id LIMIT @most)
) found
WHERE found.nearness IS NOT NULL
GROUP BY found.id
ORDER BY nearness, found.id;

-- name: UserIDsByIdentifier :many
-- One page of the people whose accounts live, by identifier and id, after the given position.
SELECT u.id, (lower(left(coalesce(u.identifier, ''), 64)) COLLATE "C")::text AS folded FROM rolecall.users u
WHERE u.deleted_at IS NULL AND (lower(left(coalesce(u.identifier, ''), 64)) COLLATE "C", u.id) > (@after_folded::text, @after_id::text)
ORDER BY lower(left(coalesce(u.identifier, ''), 64)) COLLATE "C", u.id
LIMIT @page_size::integer;

-- name: DirectoryUsers :many
-- What support sees of some people, in the given order. At most @looked memberships of each are counted.
SELECT listed.id::text AS id, u.identifier, u.first_name, u.last_name, u.image_url, coalesce(u.banned, false)::boolean AS banned,
    coalesce(u.deprovisioned, false)::boolean AS deprovisioned, u.created_at, u.deleted_at,
    coalesce(u.deleted_cause, '')::text AS deleted_cause, (u.id IS NOT NULL)::boolean AS known, belonging.n::bigint AS memberships
FROM (SELECT unnest(@ids::text[]) AS id, generate_subscripts(@ids::text[], 1) AS n) listed
LEFT JOIN LATERAL (SELECT * FROM rolecall.users WHERE id = listed.id OFFSET 0) u ON true
JOIN LATERAL (
    SELECT count(*) AS n FROM (
        SELECT FROM rolecall.memberships m
        LEFT JOIN rolecall.organizations o ON o.id = m.organization_id
        WHERE m.user_id = listed.id AND m.deleted_at IS NULL AND NOT m.followed AND o.deleted_at IS NULL
        LIMIT @looked::integer
    ) own
) belonging ON true
ORDER BY listed.n;

-- name: DirectoryMemberships :many
-- One page of a user's present memberships, the oldest first, after the given position, also of a user who may not act. The user's own
-- rows are sorted first, so that all else is read for the page alone.
SELECT own.id, own.organization_id, coalesce(o.name, '')::text AS name, o.slug, m.role::text AS role, m.role_name, own.created_at AS joined_at
FROM (
    SELECT l.id, l.created_at, l.organization_id FROM rolecall.memberships l
    WHERE l.user_id = @user_id AND l.deleted_at IS NULL AND NOT l.followed
        AND (l.created_at, l.organization_id) > (@after_joined_at::timestamptz, @after_id::text)
    ORDER BY l.created_at, l.organization_id
    OFFSET 0
) own
LEFT JOIN rolecall.organizations o ON o.id = own.organization_id
JOIN rolecall.effective_memberships m ON m.id = own.id
WHERE o.deleted_at IS NULL
ORDER BY own.created_at, own.organization_id
LIMIT @page_size::integer;

-- name: FormerMemberships :many
-- A user's memberships that ended, by themselves or with their workspace, the last one first.
SELECT own.id, own.organization_id, coalesce(own.name, '')::text AS name, own.slug, m.role::text AS role, m.role_name, own.created_at AS joined_at,
    own.ended_at::timestamptz AS ended_at, own.cause::text AS cause, own.workspace_deleted::boolean AS workspace_deleted
FROM (
    SELECT l.id, l.created_at, l.organization_id, o.name, o.slug, coalesce(l.deleted_at, o.deleted_at) AS ended_at,
        CASE WHEN l.deleted_at IS NULL THEN o.deleted_cause ELSE l.deleted_cause END AS cause, (o.deleted_at IS NOT NULL) AS workspace_deleted
    FROM rolecall.memberships l
    LEFT JOIN rolecall.organizations o ON o.id = l.organization_id
    WHERE l.user_id = @user_id AND (l.deleted_at IS NOT NULL OR NOT l.followed AND o.deleted_at IS NOT NULL)
    ORDER BY ended_at DESC, l.id
    LIMIT @page_size::integer
) own
JOIN rolecall.effective_memberships m ON m.id = own.id
ORDER BY own.ended_at DESC, own.id;

-- name: EntriesAbout :many
-- One page of the audit entries about a user, the newest first, before the given position: of the instance, and of the workspaces that
-- the user joined last.
SELECT e.id, e.organization_id, e.actor, e.action, e.target, e.before, e.after, e.at, e.cause, e.data, e.seq, e.prev_hash, e.hash, e.impersonator, e.erased_by
FROM (
    SELECT ''::text AS organization_id
    UNION
    SELECT last.organization_id FROM (
        SELECT m.organization_id FROM rolecall.memberships m WHERE m.user_id = @user_id
        GROUP BY m.organization_id ORDER BY max(m.created_at) DESC, m.organization_id LIMIT @workspaces::integer
    ) last
) log
JOIN LATERAL (
    SELECT * FROM rolecall.audit_log a WHERE a.organization_id = log.organization_id AND a.target = @user_id::text
        AND a.at >= @since AND a.at < @until AND (a.at, a.id) < (@before_at::timestamptz, @before_id::bigint)
        AND (@actor::text = '' OR a.actor = @actor) AND (@action::text = '' OR a.action = @action)
    ORDER BY a.at DESC FETCH FIRST (@page_size::integer) ROWS WITH TIES -- as the index has them, also by a plan for any user
) e ON true
ORDER BY e.at DESC, e.id DESC
LIMIT @page_size;

-- name: EndedSessionsOf :one
-- How many of a user's sessions are known to have ended, at most @most, and when the last one did.
SELECT count(*)::bigint AS ended, coalesce(max(s.ended_at), 'epoch')::timestamptz AS last FROM (
    SELECT e.ended_at FROM rolecall.ended_sessions e WHERE e.user_id = @user_id::text ORDER BY e.ended_at DESC LIMIT @most::integer
) s;

-- name: KnownPermissions :many
-- The permissions that a role may have: those of the policy, and Clerk's own, without those of Clerk's system.
SELECT known.permission FROM (
    SELECT g.permission FROM rolecall.grants g
    UNION
    SELECT p.key FROM rolecall.permissions p WHERE p.deleted_at IS NULL AND p.key <> '' AND p.key NOT LIKE 'org:sys\_%'
) known
ORDER BY known.permission
LIMIT @page_size::integer;
