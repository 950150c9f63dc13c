-- Sweeps through Clerk's API: what they know of themselves, and what they need to know of the mirror.

-- +goose Up
SET LOCAL lock_timeout = '5s'; -- never queue behind a long transaction: everybody else would queue behind us

-- In the order in which workers lock: else migrating and working could wait for each other.
LOCK TABLE rolecall.users, rolecall.memberships, rolecall.invitations, rolecall.domains, rolecall.permissions, rolecall.roles,
    rolecall.organizations, rolecall.revisions IN ACCESS EXCLUSIVE MODE;

-- changed_at: when the row was last written, by the database's clock: a sweep leaves alone what changed after it asked.
-- deleted_received_at: when the deletion became known here. lifted_at: when Clerk was asked and showed the object alive after all.
ALTER TABLE rolecall.organizations ADD role_set_key text,
    ADD changed_at timestamptz NOT NULL DEFAULT now(), ADD deleted_received_at timestamptz, ADD lifted_at timestamptz;
ALTER TABLE rolecall.users
    ADD changed_at timestamptz NOT NULL DEFAULT now(), ADD deleted_received_at timestamptz, ADD lifted_at timestamptz;
ALTER TABLE rolecall.memberships
    ADD changed_at timestamptz NOT NULL DEFAULT now(), ADD deleted_received_at timestamptz, ADD lifted_at timestamptz;
ALTER TABLE rolecall.invitations
    ADD changed_at timestamptz NOT NULL DEFAULT now(), ADD deleted_received_at timestamptz, ADD lifted_at timestamptz;
ALTER TABLE rolecall.domains
    ADD changed_at timestamptz NOT NULL DEFAULT now(), ADD deleted_received_at timestamptz, ADD lifted_at timestamptz;
ALTER TABLE rolecall.roles
    ADD changed_at timestamptz NOT NULL DEFAULT now(), ADD deleted_received_at timestamptz, ADD lifted_at timestamptz;
ALTER TABLE rolecall.permissions
    ADD changed_at timestamptz NOT NULL DEFAULT now(), ADD deleted_received_at timestamptz, ADD lifted_at timestamptz;

-- The instant as of which a whole sweep found, or made, the mirror equal to Clerk. The organization '' stands for all.
ALTER TABLE rolecall.revisions ADD verified_at timestamptz;

CREATE TABLE rolecall.sweeps (
    id              bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    trigger         text        NOT NULL,            -- why it began: start, interval, roles or command
    organization_id text        NOT NULL,            -- '' for all
    dry_run         boolean     NOT NULL,
    instance_id     text        NOT NULL,            -- of the secret key
    started_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,            -- of the last page
    finished_at     timestamptz,
    state           text        NOT NULL CHECK (state IN ('running', 'clean', 'aborted', 'abandoned')),
    reason          text        NOT NULL DEFAULT '', -- why it was aborted
    progress        json        NOT NULL,            -- where to go on; package jobs says how to read it
    report          json        NOT NULL             -- counts so far
);

-- What the running sweep has seen. Emptied with each sweep.
CREATE TABLE rolecall.sweep_seen (
    sweep_id bigint NOT NULL,
    resource text   NOT NULL,
    id       text   NOT NULL,
    PRIMARY KEY (sweep_id, resource, id)
);

-- Everything that sweeps ever found to differ from Clerk.
CREATE TABLE rolecall.drift (
    resource   text   NOT NULL,
    difference text   NOT NULL, -- missing, stale or extra
    cause      text   NOT NULL, -- undelivered, waiting or quarantined
    count      bigint NOT NULL,
    PRIMARY KEY (resource, difference, cause)
);

-- What a sweep expects Clerk to list: whatever lives here, and hangs on nothing that is gone.
CREATE VIEW rolecall.live_objects AS
SELECT 'organization' AS resource, id, id AS organization_id, '' AS user_id, changed_at FROM rolecall.organizations WHERE deleted_at IS NULL
UNION ALL SELECT 'user', id, '', id, changed_at FROM rolecall.users WHERE deleted_at IS NULL
UNION ALL SELECT 'role', id, '', '', changed_at FROM rolecall.roles WHERE deleted_at IS NULL
UNION ALL SELECT 'permission', id, '', '', changed_at FROM rolecall.permissions WHERE deleted_at IS NULL
UNION ALL SELECT 'membership', m.id, m.organization_id, m.user_id, m.changed_at
    FROM rolecall.memberships m
    LEFT JOIN rolecall.organizations o ON o.id = m.organization_id
    LEFT JOIN rolecall.users u ON u.id = m.user_id
    WHERE m.deleted_at IS NULL AND o.deleted_at IS NULL AND u.deleted_at IS NULL
UNION ALL SELECT 'invitation', i.id, i.organization_id, '', i.changed_at
    FROM rolecall.invitations i LEFT JOIN rolecall.organizations o ON o.id = i.organization_id
    WHERE i.deleted_at IS NULL AND o.deleted_at IS NULL
UNION ALL SELECT 'domain', d.id, d.organization_id, '', d.changed_at
    FROM rolecall.domains d LEFT JOIN rolecall.organizations o ON o.id = d.organization_id
    WHERE d.deleted_at IS NULL AND o.deleted_at IS NULL;

-- What has a tombstone, and when that became known here.
CREATE VIEW rolecall.dead_objects AS
SELECT 'organization' AS resource, id, id AS organization_id, '' AS user_id, coalesce(deleted_received_at, deleted_at) AS known_at
    FROM rolecall.organizations WHERE deleted_at IS NOT NULL
UNION ALL SELECT 'user', id, '', id, coalesce(deleted_received_at, deleted_at) FROM rolecall.users WHERE deleted_at IS NOT NULL
UNION ALL SELECT 'role', id, '', '', coalesce(deleted_received_at, deleted_at) FROM rolecall.roles WHERE deleted_at IS NOT NULL
UNION ALL SELECT 'permission', id, '', '', coalesce(deleted_received_at, deleted_at) FROM rolecall.permissions WHERE deleted_at IS NOT NULL
UNION ALL SELECT 'membership', id, organization_id, user_id, coalesce(deleted_received_at, deleted_at) FROM rolecall.memberships WHERE deleted_at IS NOT NULL
UNION ALL SELECT 'invitation', id, organization_id, '', coalesce(deleted_received_at, deleted_at) FROM rolecall.invitations WHERE deleted_at IS NOT NULL
UNION ALL SELECT 'domain', id, organization_id, '', coalesce(deleted_received_at, deleted_at) FROM rolecall.domains WHERE deleted_at IS NOT NULL;

-- What the API shows of a membership's role is as of when it was asked, not as of the membership's last update.
CREATE OR REPLACE VIEW rolecall.effective_memberships AS
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

-- +goose Down
DROP VIEW rolecall.dead_objects, rolecall.live_objects;
DROP TABLE rolecall.drift, rolecall.sweep_seen, rolecall.sweeps;
ALTER TABLE rolecall.revisions DROP verified_at;
ALTER TABLE rolecall.permissions DROP changed_at, DROP deleted_received_at, DROP lifted_at;
ALTER TABLE rolecall.roles DROP changed_at, DROP deleted_received_at, DROP lifted_at;
ALTER TABLE rolecall.domains DROP changed_at, DROP deleted_received_at, DROP lifted_at;
ALTER TABLE rolecall.invitations DROP changed_at, DROP deleted_received_at, DROP lifted_at;
ALTER TABLE rolecall.memberships DROP changed_at, DROP deleted_received_at, DROP lifted_at;
ALTER TABLE rolecall.users DROP changed_at, DROP deleted_received_at, DROP lifted_at;
ALTER TABLE rolecall.organizations DROP role_set_key, DROP changed_at, DROP deleted_received_at, DROP lifted_at;
