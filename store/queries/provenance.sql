-- Where the facts came from on which a decision rests. People ask for it, so it may take longer than a decision.

-- name: Provenance :one
-- What is known of a user, an organization and the membership between them, and which changes made
-- it so. It annotates the standing of the same snapshot. The audit log has an entry for each
-- effective change. Products write entries, too: so only the newest thousand about the user are
-- looked through. Without an entry, the version says what wrote the value last. Others who may manage
-- members are looked for among the @looked who joined first. Seats are counted up to @counted, with
-- those of accounts that may not act; beyond, those of members who may.
SELECT (u.id IS NOT NULL)::boolean AS user_known, u.created_at AS user_created_at, u.deleted_at AS user_deleted_at,
    coalesce(u.deleted_cause, '')::text AS user_deleted_cause,
    coalesce(u.field_versions -> (CASE WHEN u.deprovisioned AND NOT u.banned THEN 'deprovisioned' ELSE 'banned' END), u.version)::json AS user_version,
    coalesce(account.at, 'epoch')::timestamptz AS account_at, coalesce(account.cause, '')::text AS account_cause,
    (o.id IS NOT NULL)::boolean AS organization_known, o.created_at AS organization_created_at, o.deleted_at AS organization_deleted_at,
    coalesce(o.deleted_cause, '')::text AS organization_deleted_cause, o.version::json AS organization_version,
    coalesce(workspace.at, 'epoch')::timestamptz AS workspace_at, coalesce(workspace.cause, '')::text AS workspace_cause,
    coalesce(m.id, '')::text AS membership_id, coalesce(m.role, '')::text AS named_role, m.created_at AS joined_at,
    m.deleted_at AS left_at, coalesce(m.deleted_cause, '')::text AS left_cause,
    coalesce(m.field_versions -> 'created_at', m.version)::json AS joined_version,
    coalesce(m.field_versions -> 'role', m.version)::json AS role_version,
    coalesce(e.role, '')::text AS role, e.permissions::text[] AS permissions,
    coalesce(joined.at, 'epoch')::timestamptz AS joined_audited_at, coalesce(joined.cause, '')::text AS joined_cause,
    coalesce(given.at, 'epoch')::timestamptz AS role_at, coalesce(given.cause, '')::text AS role_cause,
    coalesce(invited.inviter_id, '')::text AS inviter_id,
    coalesce(role.changed_at, 'epoch')::timestamptz AS clerk_role_at, coalesce(role.cause, '')::text AS clerk_role_cause, role.version::json AS clerk_role_version,
    coalesce(sweep.id, 0)::bigint AS sweep_id, coalesce(extract(epoch FROM sweep.took), 0)::float8 AS sweep_seconds,
    coalesce((SELECT read_at FROM rolecall.policy_reading), 'epoch')::timestamptz AS policy_read_at,
    ARRAY(SELECT key FROM rolecall.roles WHERE deleted_at IS NULL AND key <> '' ORDER BY key)::text[] AS role_keys,
    coalesce(o.max_memberships, 0)::bigint AS seat_limit, coalesce(seats.taken, 0)::bigint AS seats_taken,
    ARRAY(
        SELECT managing.permission FROM unnest(@managing::text[]) managing(permission)
        WHERE EXISTS (
            SELECT FROM (
                SELECT other.id, other.role, other.permissions FROM rolecall.memberships other
                WHERE other.organization_id = asked.organization_id AND other.deleted_at IS NULL AND NOT other.followed
                    AND other.user_id <> asked.user_id
                ORDER BY other.created_at, other.id
                LIMIT @looked::integer
            ) first
            JOIN rolecall.current_memberships l ON l.id = first.id
            JOIN rolecall.effective_memberships held ON held.id = first.id
            -- The first condition spares the others whose role never had a key of a role with the permission. DirectoryWorkspaces has it, too.
            WHERE (managing.permission = ANY (first.permissions) OR first.role IN (
                    SELECT g.role FROM rolecall.grants g WHERE g.permission = managing.permission
                    UNION
                    SELECT named.key FROM rolecall.roles r, jsonb_each(r.keys) named
                    WHERE EXISTS (SELECT FROM rolecall.grants g WHERE g.role = r.key AND g.permission = managing.permission)
                        OR EXISTS (SELECT FROM rolecall.permissions p WHERE p.id = ANY (r.permission_ids) AND p.key = managing.permission)
                ))
                AND (managing.permission = ANY (held.permissions)
                    OR EXISTS (SELECT FROM rolecall.grants g WHERE g.role = held.role AND g.permission = managing.permission))
            OFFSET 0 -- looks them through once for each permission; joined with all permissions, the first condition would come last
        )
    )::text[] AS held_by_others
FROM (SELECT @organization_id::text AS organization_id, @user_id::text AS user_id) asked
LEFT JOIN rolecall.users u ON u.id = asked.user_id
LEFT JOIN rolecall.organizations o ON o.id = asked.organization_id
LEFT JOIN LATERAL (
    SELECT a.at, a.cause FROM rolecall.audit_log a
    WHERE a.organization_id = '' AND a.target = u.id AND a.action = ANY (CASE
        WHEN u.banned THEN '{user.banned}'::text[]
        WHEN u.deprovisioned THEN '{user.deprovisioned}'::text[]
        ELSE '{user.unbanned,user.restored}'::text[]
    END)
    ORDER BY a.at DESC, a.seq DESC LIMIT 1
) account ON true
LEFT JOIN LATERAL (
    SELECT a.at, a.cause FROM rolecall.audit_log a
    WHERE a.organization_id = o.id AND a.target = o.id AND a.action = 'workspace.created'
    ORDER BY a.at DESC, a.seq DESC LIMIT 1
) workspace ON true
LEFT JOIN LATERAL (
    SELECT c.id, c.role, c.permissions FROM rolecall.effective_memberships c
    WHERE c.organization_id = asked.organization_id AND c.user_id = asked.user_id
    ORDER BY c.counts DESC, c.created_at DESC, c.deleted_at IS NULL DESC, c.id DESC LIMIT 1
) e ON true
LEFT JOIN rolecall.memberships m ON m.id = e.id
LEFT JOIN LATERAL (
    SELECT greatest((SELECT c.members FROM rolecall.member_counts c WHERE c.organization_id = o.id), (
        SELECT count(*) FROM (
            SELECT FROM rolecall.memberships taken
            LEFT JOIN LATERAL (SELECT a.deleted_at FROM rolecall.users a WHERE a.id = taken.user_id OFFSET 0) u ON true
            WHERE taken.organization_id = o.id AND taken.deleted_at IS NULL AND NOT taken.followed AND u.deleted_at IS NULL
            LIMIT @counted::integer
        ) counted
    )) AS taken
    WHERE o.max_memberships > 0 AND (m.id IS NULL OR m.deleted_at IS NOT NULL)
) seats ON true
LEFT JOIN LATERAL (
    SELECT a.at, a.cause FROM (
        SELECT * FROM rolecall.audit_log l WHERE l.organization_id = m.organization_id AND l.target = m.user_id
        ORDER BY l.at DESC, l.seq DESC LIMIT 1000
    ) a
    WHERE a.action = 'member.joined' AND a.after ->> 'membership_id' = m.id
    ORDER BY a.at DESC, a.seq DESC LIMIT 1
) joined ON true
LEFT JOIN LATERAL (
    SELECT a.at, a.cause FROM (
        SELECT * FROM rolecall.audit_log l WHERE l.organization_id = m.organization_id AND l.target = m.user_id
        ORDER BY l.at DESC, l.seq DESC LIMIT 1000
    ) a
    WHERE a.action IN ('member.joined', 'member.role_changed') AND a.after ->> 'membership_id' = m.id AND a.after ->> 'role' = m.role
    ORDER BY a.at DESC, a.seq DESC LIMIT 1
) given ON true
LEFT JOIN LATERAL (
    SELECT i.inviter_id FROM rolecall.invitations i
    WHERE i.user_id = m.user_id AND i.organization_id = m.organization_id AND i.status = 'accepted' AND i.created_at <= m.created_at + interval '1 minute'
        -- One that was accepted long before made an earlier membership. The query DirectoryMembers has the same rule.
        AND to_timestamp((coalesce(i.field_versions -> 'status', i.version)::jsonb ->> 'u')::float8 / 1000) > m.created_at - interval '1 minute'
    ORDER BY i.created_at DESC, i.id DESC LIMIT 1
) invited ON true
LEFT JOIN LATERAL (
    SELECT r.version, changed.at AS changed_at, changed.cause
    FROM rolecall.roles r
    LEFT JOIN LATERAL (
        SELECT a.at, a.cause FROM rolecall.audit_log a
        WHERE a.organization_id = '' AND a.target = r.id AND a.action = 'role.changed'
        ORDER BY a.at DESC, a.seq DESC LIMIT 1
    ) changed ON true
    WHERE r.key = e.role
    ORDER BY r.deleted_at IS NULL DESC, r.id LIMIT 1
) role ON true
LEFT JOIN LATERAL (
    SELECT s.id, s.finished_at - s.started_at AS took FROM rolecall.revisions v
    JOIN rolecall.sweeps s ON s.started_at = v.verified_at AND s.state = 'clean' AND NOT s.dry_run AND s.organization_id = ''
    WHERE v.organization_id = ''
    ORDER BY s.id DESC LIMIT 1
) sweep ON true;
