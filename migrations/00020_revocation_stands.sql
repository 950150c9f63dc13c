-- Which membership of a pair came last, if the dates of two of Clerk's machines contradict each other; and who told of a deletion.

-- +goose Up
SET LOCAL lock_timeout = '5s'; -- never queue behind a long transaction: everybody else would queue behind us

-- In the order in which workers lock: else migrating and working could wait for each other.
LOCK TABLE rolecall.users, rolecall.memberships, rolecall.invitations, rolecall.domains, rolecall.permissions, rolecall.roles,
    rolecall.organizations IN ACCESS EXCLUSIVE MODE;

-- When Clerk is known to have had the membership: by the newest signed event that showed it, or by a look-up that proves that it
-- came after another one of its pair. Null in rows from before.
ALTER TABLE rolecall.memberships ADD alive_at timestamptz;

-- counts says whether the membership is the last of its pair, and lives. Of a pair the one that was created last is the last one,
-- also if it is dead; unless another one is known to have lived clearly after that one's end, so that the dates of Clerk's machines
-- contradict each other. 100 ms is more than their clocks and the stamping of events differ by.
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

-- An unknown parent doesn't hide a membership. Of a pair only the last counts, as above.
CREATE OR REPLACE VIEW rolecall.current_memberships AS
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

-- What has a tombstone, when that became known here, and what told of it.
CREATE OR REPLACE VIEW rolecall.dead_objects AS
SELECT 'organization' AS resource, id, id AS organization_id, '' AS user_id, coalesce(deleted_received_at, deleted_at) AS known_at, deleted_cause AS cause
    FROM rolecall.organizations WHERE deleted_at IS NOT NULL
UNION ALL SELECT 'user', id, '', id, coalesce(deleted_received_at, deleted_at), deleted_cause FROM rolecall.users WHERE deleted_at IS NOT NULL
UNION ALL SELECT 'role', id, '', '', coalesce(deleted_received_at, deleted_at), deleted_cause FROM rolecall.roles WHERE deleted_at IS NOT NULL
UNION ALL SELECT 'permission', id, '', '', coalesce(deleted_received_at, deleted_at), deleted_cause FROM rolecall.permissions WHERE deleted_at IS NOT NULL
UNION ALL SELECT 'membership', id, organization_id, user_id, coalesce(deleted_received_at, deleted_at), deleted_cause FROM rolecall.memberships WHERE deleted_at IS NOT NULL
UNION ALL SELECT 'invitation', id, organization_id, '', coalesce(deleted_received_at, deleted_at), deleted_cause FROM rolecall.invitations WHERE deleted_at IS NOT NULL
UNION ALL SELECT 'domain', id, organization_id, '', coalesce(deleted_received_at, deleted_at), deleted_cause FROM rolecall.domains WHERE deleted_at IS NOT NULL;

-- +goose Down
DROP VIEW rolecall.dead_objects;
CREATE VIEW rolecall.dead_objects AS
SELECT 'organization' AS resource, id, id AS organization_id, '' AS user_id, coalesce(deleted_received_at, deleted_at) AS known_at
    FROM rolecall.organizations WHERE deleted_at IS NOT NULL
UNION ALL SELECT 'user', id, '', id, coalesce(deleted_received_at, deleted_at) FROM rolecall.users WHERE deleted_at IS NOT NULL
UNION ALL SELECT 'role', id, '', '', coalesce(deleted_received_at, deleted_at) FROM rolecall.roles WHERE deleted_at IS NOT NULL
UNION ALL SELECT 'permission', id, '', '', coalesce(deleted_received_at, deleted_at) FROM rolecall.permissions WHERE deleted_at IS NOT NULL
UNION ALL SELECT 'membership', id, organization_id, user_id, coalesce(deleted_received_at, deleted_at) FROM rolecall.memberships WHERE deleted_at IS NOT NULL
UNION ALL SELECT 'invitation', id, organization_id, '', coalesce(deleted_received_at, deleted_at) FROM rolecall.invitations WHERE deleted_at IS NOT NULL
UNION ALL SELECT 'domain', id, organization_id, '', coalesce(deleted_received_at, deleted_at) FROM rolecall.domains WHERE deleted_at IS NOT NULL;
DROP VIEW rolecall.live_members, rolecall.current_memberships, rolecall.effective_memberships;
ALTER TABLE rolecall.memberships DROP alive_at;
CREATE VIEW rolecall.effective_memberships AS
SELECT m.id, m.organization_id, m.user_id, coalesce(r.key, m.role) AS role, m.role_name,
    CASE WHEN r.id IS NULL THEN m.permissions
         WHEN r.deleted_at IS NOT NULL THEN '{}'
         ELSE ARRAY(SELECT p.key FROM rolecall.permissions p WHERE p.id = ANY (r.permission_ids) AND p.deleted_at IS NULL)
    END AS permissions,
    m.created_at, m.deleted_at
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
    );
CREATE VIEW rolecall.live_members AS
SELECT m.id, m.organization_id, m.user_id, m.role, m.role_name, m.permissions, m.created_at AS joined_at,
    u.identifier, u.first_name, u.last_name
FROM rolecall.current_memberships l
JOIN rolecall.effective_memberships m ON m.id = l.id
LEFT JOIN rolecall.users u ON u.id = l.user_id
WHERE m.deleted_at IS NULL;
