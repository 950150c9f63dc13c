-- Which memberships count, without what their roles permit: to count the members of a large workspace, Postgres worked out the role of each.

-- +goose Up
SET LOCAL lock_timeout = '5s'; -- never queue behind a long transaction: everybody else would queue behind us

-- An unknown parent doesn't hide a membership. Of a pair only the newest counts, also if it is dead.
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

CREATE OR REPLACE VIEW rolecall.live_members AS
SELECT m.id, m.organization_id, m.user_id, m.role, m.role_name, m.permissions, m.created_at AS joined_at,
    u.identifier, u.first_name, u.last_name
FROM rolecall.current_memberships l
JOIN rolecall.effective_memberships m ON m.id = l.id
LEFT JOIN rolecall.users u ON u.id = l.user_id
WHERE m.deleted_at IS NULL; -- said again for the index memberships_joined

-- What goes with an organization (query HangingOn).
CREATE INDEX domains_organization ON rolecall.domains (organization_id);

-- +goose Down
DROP INDEX rolecall.domains_organization;
CREATE OR REPLACE VIEW rolecall.live_members AS
SELECT m.id, m.organization_id, m.user_id, m.role, m.role_name, m.permissions, m.created_at AS joined_at,
    u.identifier, u.first_name, u.last_name
FROM rolecall.effective_memberships m
LEFT JOIN rolecall.organizations o ON o.id = m.organization_id
LEFT JOIN rolecall.users u ON u.id = m.user_id
WHERE m.deleted_at IS NULL AND o.deleted_at IS NULL AND u.deleted_at IS NULL
    AND u.banned IS NOT TRUE AND u.deprovisioned IS NOT TRUE
    AND NOT EXISTS (
        SELECT FROM rolecall.memberships n
        WHERE n.organization_id = m.organization_id AND n.user_id = m.user_id
            AND (n.created_at, n.deleted_at IS NULL, n.id) > (m.created_at, true, m.id)
    );
DROP VIEW rolecall.current_memberships;
