-- The views and functions read which membership counts (migrations 00021 and 00022), and work it out no more.

-- +goose Up
SET LOCAL lock_timeout = '5s'; -- never queue behind a long transaction: everybody else would queue behind us

-- All are counted. From now on an organization without a row has no member.
DROP TRIGGER IF EXISTS member_counts_first ON rolecall.member_counts;
DROP FUNCTION IF EXISTS rolecall.count_first;

-- counts says whether the membership is the current one of its pair.
CREATE OR REPLACE VIEW rolecall.effective_memberships AS
SELECT m.id, m.organization_id, m.user_id, coalesce(r.key, m.role) AS role, m.role_name,
    CASE WHEN r.id IS NULL THEN m.permissions
         WHEN r.deleted_at IS NOT NULL THEN '{}'
         ELSE ARRAY(SELECT p.key FROM rolecall.permissions p WHERE p.id = ANY (r.permission_ids) AND p.deleted_at IS NULL)
    END AS permissions,
    m.created_at, m.deleted_at,
    m.deleted_at IS NULL AND NOT m.followed AS counts
FROM rolecall.memberships m
LEFT JOIN LATERAL (
    SELECT c.id, c.key, c.deleted_at, c.permission_ids
    FROM rolecall.roles c, LATERAL (
        SELECT max(at.value::bigint) FILTER (
                WHERE at.value::bigint <= (coalesce(m.field_versions -> 'role', m.version)
                    ->> CASE coalesce(m.field_versions -> 'role', m.version) ->> 'k' WHEN '4' THEN 'o' ELSE 'u' END)::bigint) AS by_then,
            min(at.value::bigint) AS first
        FROM jsonb_array_elements_text(c.keys -> m.role) at (value)
    ) AS seen
    WHERE c.keys ? m.role
    ORDER BY seen.by_then DESC NULLS LAST, seen.first, c.id
    LIMIT 1
) AS r ON true;

-- An unknown parent doesn't hide a membership.
CREATE OR REPLACE VIEW rolecall.current_memberships AS
SELECT m.id, m.organization_id, m.user_id, m.created_at AS joined_at
FROM rolecall.memberships m
LEFT JOIN rolecall.organizations o ON o.id = m.organization_id
LEFT JOIN rolecall.users u ON u.id = m.user_id
WHERE m.deleted_at IS NULL AND NOT m.followed AND o.deleted_at IS NULL AND u.deleted_at IS NULL
    AND u.banned IS NOT TRUE AND u.deprovisioned IS NOT TRUE;

-- Whether a user may use a permission in a workspace (see migration 00004).
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION rolecall.can(user_id text, workspace_id text, permission text) RETURNS boolean
    LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER COST 1000 SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF can.permission = '' THEN -- membership alone, for which no role need be worked out
        RETURN EXISTS (
            SELECT FROM rolecall.current_memberships m WHERE m.organization_id = can.workspace_id AND m.user_id = can.user_id
        );
    END IF;
    RETURN EXISTS (
        SELECT FROM rolecall.live_members m
        WHERE m.organization_id = can.workspace_id AND m.user_id = can.user_id AND (
            can.permission = ANY (m.permissions)
            OR EXISTS (SELECT FROM rolecall.grants g WHERE g.role = m.role AND g.permission = can.permission)
        )
    );
END
$$;
-- +goose StatementEnd

-- The workspaces that a user is a member of. The account is looked at once.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION rolecall.workspaces_of(user_id text) RETURNS SETOF text
    LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER COST 1000 ROWS 10 SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (
        SELECT FROM rolecall.users u
        WHERE u.id = workspaces_of.user_id AND rolecall.refused(u.deleted_at, u.banned, u.deprovisioned)
    ) THEN
        RETURN;
    END IF;
    RETURN QUERY
        SELECT m.organization_id FROM rolecall.memberships m LEFT JOIN rolecall.organizations o ON o.id = m.organization_id
        WHERE m.user_id = workspaces_of.user_id AND m.deleted_at IS NULL AND NOT m.followed AND o.deleted_at IS NULL;
END
$$;
-- +goose StatementEnd

-- +goose Down
CREATE OR REPLACE VIEW rolecall.effective_memberships AS
SELECT m.id, m.organization_id, m.user_id, coalesce(r.key, m.role) AS role, m.role_name,
    CASE WHEN r.id IS NULL THEN m.permissions
         WHEN r.deleted_at IS NOT NULL THEN '{}'
         ELSE ARRAY(SELECT p.key FROM rolecall.permissions p WHERE p.id = ANY (r.permission_ids) AND p.deleted_at IS NULL)
    END AS permissions,
    m.created_at, m.deleted_at,
    m.deleted_at IS NULL AND NOT EXISTS (
        SELECT FROM rolecall.memberships n
        WHERE n.organization_id = m.organization_id AND n.user_id = m.user_id
            AND (n.created_at, n.deleted_at IS NULL, n.id) > (m.created_at, true, m.id)
            AND (n.deleted_at IS NOT NULL AND m.alive_at > n.deleted_at + interval '100 ms') IS NOT TRUE
    ) AS counts
FROM rolecall.memberships m
LEFT JOIN LATERAL (
    SELECT c.id, c.key, c.deleted_at, c.permission_ids
    FROM rolecall.roles c, LATERAL (
        SELECT max(at.value::bigint) FILTER (
                WHERE at.value::bigint <= (coalesce(m.field_versions -> 'role', m.version)
                    ->> CASE coalesce(m.field_versions -> 'role', m.version) ->> 'k' WHEN '4' THEN 'o' ELSE 'u' END)::bigint) AS by_then,
            min(at.value::bigint) AS first
        FROM jsonb_array_elements_text(c.keys -> m.role) at (value)
    ) AS seen
    WHERE c.keys ? m.role
    ORDER BY seen.by_then DESC NULLS LAST, seen.first, c.id
    LIMIT 1
) AS r ON true;

DROP VIEW rolecall.live_members, rolecall.current_memberships;
CREATE VIEW rolecall.current_memberships AS
SELECT m.id, m.organization_id, m.user_id
FROM rolecall.memberships m
LEFT JOIN rolecall.organizations o ON o.id = m.organization_id
LEFT JOIN rolecall.users u ON u.id = m.user_id
WHERE m.deleted_at IS NULL AND o.deleted_at IS NULL AND u.deleted_at IS NULL
    AND u.banned IS NOT TRUE AND u.deprovisioned IS NOT TRUE
    AND NOT EXISTS (
        SELECT FROM rolecall.memberships n
        WHERE n.organization_id = m.organization_id AND n.user_id = m.user_id
            AND (n.created_at, n.deleted_at IS NULL, n.id) > (m.created_at, true, m.id)
            AND (n.deleted_at IS NOT NULL AND m.alive_at > n.deleted_at + interval '100 ms') IS NOT TRUE
    );

CREATE VIEW rolecall.live_members AS
SELECT m.id, m.organization_id, m.user_id, m.role, m.role_name, m.permissions, m.created_at AS joined_at,
    u.identifier, u.first_name, u.last_name
FROM rolecall.current_memberships l
JOIN rolecall.effective_memberships m ON m.id = l.id
LEFT JOIN rolecall.users u ON u.id = l.user_id
WHERE m.deleted_at IS NULL;

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION rolecall.can(user_id text, workspace_id text, permission text) RETURNS boolean
    LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER COST 1000 SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN EXISTS (
        SELECT FROM rolecall.live_members m
        WHERE m.organization_id = can.workspace_id AND m.user_id = can.user_id AND (
            can.permission = '' OR can.permission = ANY (m.permissions)
            OR EXISTS (SELECT FROM rolecall.grants g WHERE g.role = m.role AND g.permission = can.permission)
        )
    );
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION rolecall.workspaces_of(user_id text) RETURNS SETOF text
    LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER COST 1000 ROWS 10 SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY SELECT m.organization_id FROM rolecall.live_members m WHERE m.user_id = workspaces_of.user_id;
END
$$;
-- +goose StatementEnd
