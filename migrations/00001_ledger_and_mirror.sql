-- The ledger of deliveries and the mirror of organizations, users and memberships.
--
-- Versions are json, because only package sync compares them: SQL never decides what is newer.
-- There are no foreign keys between mirror tables and no unique slug: events come in any order, and slugs move.

-- +goose Up
SET LOCAL lock_timeout = '5s'; -- never queue behind a long transaction: everybody else would queue behind us

CREATE TABLE rolecall.deliveries (
    svix_id         text        PRIMARY KEY,
    event_type      text        NOT NULL,
    object_id       text        NOT NULL,
    organization_id text        NOT NULL,
    instance_id     text        NOT NULL,
    occurred_at     timestamptz NOT NULL,
    received_at     timestamptz NOT NULL,
    body            text,                 -- null once pruned
    body_sha256     bytea       NOT NULL, -- of the bytes as received
    state           text        NOT NULL CHECK (state IN ('received', 'applied', 'superseded', 'ignored', 'quarantined')),
    attempts        integer     NOT NULL DEFAULT 0,
    last_error      text        NOT NULL DEFAULT '',
    applied_at      timestamptz
);
-- What is still to be done: the age of the oldest is a metric, and taking over reads it every few seconds.
CREATE INDEX deliveries_received ON rolecall.deliveries (received_at) WHERE state = 'received';

CREATE TABLE rolecall.organizations (
    id              text PRIMARY KEY,
    name            text NOT NULL DEFAULT '',
    slug            text,
    image_url       text,
    created_by      text,
    created_at      timestamptz,
    public_metadata json,
    version         json NOT NULL DEFAULT '{}', -- of the newest delivery that wrote the row
    field_versions  json,                       -- of the fields that another delivery wrote, by name
    deleted_at      timestamptz,
    deleted_cause   text NOT NULL DEFAULT '' -- svix id of the deletion
);

CREATE TABLE rolecall.users (
    id             text    PRIMARY KEY,
    identifier     text,
    first_name     text,
    last_name      text,
    image_url      text,
    banned         boolean NOT NULL DEFAULT false,
    deprovisioned  boolean NOT NULL DEFAULT false,
    created_at     timestamptz,
    version        json    NOT NULL DEFAULT '{}',
    field_versions json,
    deleted_at     timestamptz,
    deleted_cause  text    NOT NULL DEFAULT '' -- svix id of the deletion
);

CREATE TABLE rolecall.memberships (
    id              text   PRIMARY KEY,
    organization_id text   NOT NULL,
    user_id         text   NOT NULL,
    role            text   NOT NULL DEFAULT '',
    role_name       text,
    permissions     text[] NOT NULL DEFAULT '{}',
    created_at      timestamptz,
    public_metadata json,
    version         json   NOT NULL DEFAULT '{}',
    field_versions  json,
    deleted_at      timestamptz,
    deleted_cause   text   NOT NULL DEFAULT '' -- svix id of the deletion
);
CREATE INDEX memberships_pair ON rolecall.memberships (organization_id, user_id);
CREATE INDEX memberships_user ON rolecall.memberships (user_id);

-- One row for each organization that anything is known of: the counter of its changes, and the newest instant at
-- which the mirror is known to have agreed with Clerk about it.
CREATE TABLE rolecall.revisions (
    organization_id text   PRIMARY KEY,
    revision        bigint NOT NULL,
    as_of           timestamptz NOT NULL
) WITH (fillfactor = 50); -- rewritten by every change: leave room for heap-only updates

-- Who counts as a member: the membership is live, its organization isn't gone, and its user is neither
-- gone, banned nor deprovisioned; unknown parents don't hide it; of two live rows for one pair, the newest counts.
-- The rule of one pair stands in sync.Grants.Decide; a test holds the two against each other.
CREATE VIEW rolecall.live_members AS
SELECT DISTINCT ON (m.organization_id, m.user_id) m.id, m.organization_id, m.user_id, m.role, m.role_name, m.permissions,
    coalesce(m.created_at, 'epoch') AS joined_at, u.identifier, u.first_name, u.last_name
FROM rolecall.memberships m
LEFT JOIN rolecall.organizations o ON o.id = m.organization_id
LEFT JOIN rolecall.users u ON u.id = m.user_id
WHERE m.deleted_at IS NULL AND o.deleted_at IS NULL AND u.deleted_at IS NULL
  AND u.banned IS NOT TRUE AND u.deprovisioned IS NOT TRUE
ORDER BY m.organization_id, m.user_id, m.created_at DESC NULLS LAST, m.id DESC;

-- +goose Down
DROP VIEW rolecall.live_members;
DROP TABLE rolecall.revisions, rolecall.memberships, rolecall.users, rolecall.organizations, rolecall.deliveries;
