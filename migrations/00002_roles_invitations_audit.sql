-- Roles and permissions of the instance, invitations, domains, and the audit log.

-- +goose Up
SET LOCAL lock_timeout = '5s'; -- never queue behind a long transaction: everybody else would queue behind us

-- Members are listed by when they joined; epoch: Clerk hasn't told.
UPDATE rolecall.memberships SET created_at = 'epoch' WHERE created_at IS NULL;
ALTER TABLE rolecall.memberships ALTER created_at SET DEFAULT 'epoch', ALTER created_at SET NOT NULL;
CREATE INDEX memberships_joined ON rolecall.memberships (organization_id, created_at, id) WHERE deleted_at IS NULL;

CREATE TABLE rolecall.roles (
    id             text   PRIMARY KEY,
    key            text   NOT NULL DEFAULT '',
    keys           jsonb  NOT NULL DEFAULT '{}', -- every key it ever had: when events showed it so, in epoch milliseconds
    name           text   NOT NULL DEFAULT '',
    permission_ids text[] NOT NULL DEFAULT '{}',
    version        json   NOT NULL DEFAULT '{}',
    field_versions json,
    deleted_at     timestamptz,
    deleted_cause  text   NOT NULL DEFAULT ''
);

CREATE TABLE rolecall.permissions (
    id             text PRIMARY KEY,
    key            text NOT NULL DEFAULT '',
    name           text NOT NULL DEFAULT '',
    version        json NOT NULL DEFAULT '{}',
    field_versions json,
    deleted_at     timestamptz,
    deleted_cause  text NOT NULL DEFAULT ''
);

CREATE TABLE rolecall.invitations (
    id              text PRIMARY KEY,
    organization_id text NOT NULL DEFAULT '',
    email           text NOT NULL DEFAULT '',
    role            text NOT NULL DEFAULT '',
    status          text NOT NULL DEFAULT '',
    inviter_id      text,
    user_id         text,
    created_at      timestamptz NOT NULL DEFAULT 'epoch', -- epoch: Clerk hasn't told
    expires_at      timestamptz,
    version         json NOT NULL DEFAULT '{}',
    field_versions  json,
    deleted_at      timestamptz,
    deleted_cause   text NOT NULL DEFAULT ''
);
CREATE INDEX invitations_organization ON rolecall.invitations (organization_id, created_at, id);

CREATE TABLE rolecall.domains (
    id              text PRIMARY KEY,
    organization_id text NOT NULL DEFAULT '',
    name            text NOT NULL DEFAULT '',
    enrollment_mode text NOT NULL DEFAULT '',
    verification    text NOT NULL DEFAULT '',
    created_at      timestamptz,
    version         json NOT NULL DEFAULT '{}',
    field_versions  json,
    deleted_at      timestamptz,
    deleted_cause   text NOT NULL DEFAULT ''
);

CREATE TABLE rolecall.audit_log (
    id              bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    organization_id text        NOT NULL, -- '' for what concerns the instance: users and roles
    actor           text,                 -- user_… or service:NAME; null if Clerk doesn't say
    action          text        NOT NULL,
    target          text        NOT NULL,
    before          json,
    after           json,
    at              timestamptz NOT NULL,
    cause           text        NOT NULL  -- svix id of the delivery that told
);
CREATE INDEX audit_log_organization ON rolecall.audit_log (organization_id, id);

-- +goose StatementBegin
CREATE FUNCTION rolecall.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is append-only' USING ERRCODE = 'insufficient_privilege';
END
$$;
-- +goose StatementEnd
CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON rolecall.audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION rolecall.refuse_change();

-- The ledger, for its operators.
CREATE INDEX deliveries_with_body ON rolecall.deliveries (received_at) WHERE body IS NOT NULL; -- what can be pruned
CREATE INDEX deliveries_by_time ON rolecall.deliveries USING brin (received_at); -- costs next to nothing
CREATE INDEX deliveries_quarantined ON rolecall.deliveries (received_at) WHERE state = 'quarantined';

-- Memberships with the role that they have now and its permissions at Clerk. A membership names its role by the key that
-- the role had when the membership was written. The key may have changed since, without an event for each member, and
-- another role may have taken it: so that role counts which was last seen with the key by then. A known role's own
-- permissions count, none if it is gone; only for an unknown role the membership's snapshot does.
CREATE VIEW rolecall.effective_memberships AS
SELECT m.id, m.organization_id, m.user_id, coalesce(r.key, m.role) AS role, m.role_name, CASE
        WHEN r.id IS NULL THEN m.permissions
        WHEN r.deleted_at IS NOT NULL THEN '{}'::text[]
        ELSE ARRAY(SELECT p.key FROM rolecall.permissions p WHERE p.id = ANY (r.permission_ids) AND p.deleted_at IS NULL)
    END AS permissions, m.created_at, m.deleted_at
FROM rolecall.memberships m
LEFT JOIN LATERAL (
    SELECT c.id, c.key, c.deleted_at, c.permission_ids
    FROM rolecall.roles c, LATERAL (
        SELECT max(at::bigint) FILTER (
                WHERE at::bigint <= coalesce(m.field_versions -> 'role' ->> 'u', m.version ->> 'u')::bigint
            ) AS by_then, min(at::bigint) AS first
        FROM jsonb_array_elements_text(c.keys -> m.role) at
    ) seen
    WHERE c.keys ? m.role
    ORDER BY seen.by_then DESC NULLS LAST, seen.first, c.id LIMIT 1
) r ON true;

-- Who counts as a member: the membership is live and the pair's newest, its organization isn't gone, and its
-- user is neither gone, banned nor deprovisioned; unknown parents don't hide it. Clerk has at most one membership of a pair
-- at a time, so a newer one, also a dead one, proves that an older one ended. The rule for one pair stands in
-- sync.Grants.Decide and queries/standing.sql; a test holds the two against each other.
DROP VIEW rolecall.live_members;
CREATE VIEW rolecall.live_members AS
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

-- +goose Down
DROP VIEW rolecall.live_members;
CREATE VIEW rolecall.live_members AS
SELECT DISTINCT ON (m.organization_id, m.user_id) m.id, m.organization_id, m.user_id, m.role, m.role_name, m.permissions,
    coalesce(m.created_at, 'epoch') AS joined_at, u.identifier, u.first_name, u.last_name
FROM rolecall.memberships m
LEFT JOIN rolecall.organizations o ON o.id = m.organization_id
LEFT JOIN rolecall.users u ON u.id = m.user_id
WHERE m.deleted_at IS NULL AND o.deleted_at IS NULL AND u.deleted_at IS NULL
  AND u.banned IS NOT TRUE AND u.deprovisioned IS NOT TRUE
ORDER BY m.organization_id, m.user_id, m.created_at DESC NULLS LAST, m.id DESC;
DROP VIEW rolecall.effective_memberships;
DROP INDEX rolecall.deliveries_with_body, rolecall.deliveries_by_time, rolecall.deliveries_quarantined, rolecall.memberships_joined;
ALTER TABLE rolecall.memberships ALTER created_at DROP NOT NULL, ALTER created_at DROP DEFAULT;
DROP TABLE rolecall.audit_log, rolecall.domains, rolecall.invitations, rolecall.permissions, rolecall.roles;
DROP FUNCTION rolecall.refuse_change;
