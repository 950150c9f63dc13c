-- The workspaces that need a person's attention, and what judging them takes.

-- +goose Up
SET LOCAL lock_timeout = '5s'; -- never queue behind a long transaction: everybody else would queue behind us

-- How many memberships Clerk allows the organization. 0 is no limit; null isn't known yet.
ALTER TABLE rolecall.organizations ADD max_memberships bigint;

-- The decisions of a workspace's members follow from these: as long as the stamp is the same, roles and policy are.
CREATE VIEW rolecall.rules_stamp AS
SELECT coalesce((SELECT r.roles_stamp::text FROM rolecall.revisions r WHERE r.organization_id = ''), '') || ' '
    || md5(coalesce((SELECT string_agg(g.role || ' ' || g.permission, ',' ORDER BY g.role, g.permission) FROM rolecall.grants g), '')) AS stamp;

-- What rounds have found. A finding is shown once it has settled.
CREATE TABLE rolecall.needs (
    organization_id text NOT NULL,
    need text NOT NULL,
    since timestamptz NOT NULL, -- when a round first found it
    settled boolean NOT NULL,
    members bigint NOT NULL, -- of the workspace, for the order of lists
    PRIMARY KEY (organization_id, need)
);
CREATE INDEX needs_settled ON rolecall.needs (need, members DESC, organization_id) WHERE settled;

-- How far the round under way is, and what the last whole one has found.
CREATE TABLE rolecall.needs_round (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    began_at timestamptz, -- of the round under way; null: there is none
    position text NOT NULL DEFAULT '', -- the last workspace that it has judged
    worked interval NOT NULL DEFAULT '0', -- what it has taken so far
    next_at timestamptz NOT NULL DEFAULT '-infinity', -- no round begins before
    ended_at timestamptz, -- of the last whole round
    counts json -- how many settled findings there were of each need at that instant
);
INSERT INTO rolecall.needs_round DEFAULT VALUES;

-- +goose Down
DROP TABLE rolecall.needs_round;
DROP TABLE rolecall.needs;
DROP VIEW rolecall.rules_stamp;
ALTER TABLE rolecall.organizations DROP max_memberships;
