-- The change feed: every effective change once, under a number that consumers keep as their place.
--
-- Numbers can't be drawn by the transactions that make changes: a later number would be committed first. So each statement that adds
-- to the audit log leaves a row in `unpublished`, and one writer at a time, who holds the row of `feed`, numbers what is committed.
--
-- The order of `unpublished.id` respects each chain of the audit log. The trigger below draws the id while its transaction holds the
-- heads of all the chains that its entries are in (chain_audit_entry), and it holds them until it ends. So a later entry of such a
-- chain has a greater id, and a snapshot that sees it also sees the earlier one, unless that is published.

-- +goose Up
SET LOCAL lock_timeout = '5s'; -- never queue behind a long transaction: everybody else would queue behind us

-- What the feed tells: not what operators of Rolecall did, and not what late deliveries say of the past. A removal without a target is
-- of a membership of which nothing but its id was ever known, not even its workspace.
-- +goose StatementBegin
CREATE FUNCTION rolecall.in_feed(action text, target text) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN target <> '' AND action NOT LIKE 'operator.%' AND action NOT IN ('workspace.restated', 'member.restated', 'user.restated', 'role.restated');
-- +goose StatementEnd

-- What statements added to the audit log, until it is published.
CREATE TABLE rolecall.unpublished (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    entry_ids   bigint[]    NOT NULL, -- of audit_log, each chain's in its order
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp() -- a moment before its commit
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000); -- its rows live for a moment

-- Published changes. What they say is in the audit log, so an erasure there is one here.
CREATE TABLE rolecall.changes (
    number          bigint      PRIMARY KEY,
    entry_id        bigint      NOT NULL UNIQUE, -- of audit_log
    organization_id text        NOT NULL, -- as in audit_log
    revision        bigint      NOT NULL, -- of the workspace, at which the change was in force; 0 for the whole instance
    published_at    timestamptz NOT NULL, -- with the number, it tells a place from that of another history
    complete_before timestamptz NOT NULL  -- what was committed before has a number below those that were published together with this one
);
CREATE INDEX changes_of_organization ON rolecall.changes (organization_id, number);

-- One row. Whoever locks it may publish or cut.
CREATE TABLE rolecall.feed (
    one            boolean     PRIMARY KEY DEFAULT true CHECK (one),
    number         bigint      NOT NULL DEFAULT 0, -- the last one given
    published_at   timestamptz NOT NULL DEFAULT 'epoch', -- of that number
    complete_until timestamptz NOT NULL DEFAULT 'epoch', -- what was committed before is published
    history        uuid, -- under which numbers are given; null before the first one
    cuts           bigint      NOT NULL DEFAULT 0, -- how often published changes were cut
    -- Deleted rows of `unpublished` stay in the way as long as anybody has an older snapshot, such as pg_dump. So nobody looks where
    -- nothing can appear any more. All ids below `drawn` were drawn by transactions older than `drawn_before`, as they write before
    -- they draw. Once all of those have ended, and what they left is published, that goes for these ids, too.
    unpublished_from bigint    NOT NULL DEFAULT 0, -- no id below it can appear any more
    drawn          bigint      NOT NULL DEFAULT 0, -- an id that was published
    drawn_before   bigint, -- a transaction that began to write later; null before the next one publishes
    -- Entries from before this migration get their numbers later, chain by chain, and before all others.
    old_through    bigint, -- the greatest id of such an entry; null once all have a number
    old_chain      text, -- the chain that is being read; null before the first one. The instance's, '', is the last
    old_seq        bigint      NOT NULL DEFAULT 0 -- how far it was read
);

CREATE VIEW rolecall.first_unpublished AS
SELECT id, recorded_at FROM rolecall.unpublished WHERE id >= (SELECT f.unpublished_from FROM rolecall.feed f) ORDER BY id LIMIT 1;

-- Where the numbers of earlier histories end: the next history began there.
CREATE TABLE rolecall.feed_histories (
    history uuid   PRIMARY KEY,
    through bigint NOT NULL
);

-- What cuts took out of the feed. A cut that a later one reaches beyond is forgotten.
CREATE TABLE rolecall.feed_cuts (
    cut     bigint PRIMARY KEY,
    through bigint NOT NULL -- the greatest number that it took out
);

-- +goose StatementBegin
CREATE FUNCTION rolecall.note_unpublished() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO rolecall.unpublished (entry_ids)
    SELECT array_agg(id ORDER BY organization_id, seq) FROM added WHERE rolecall.in_feed(action, target) HAVING count(*) > 0;
    RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER audit_log_unpublished AFTER INSERT ON rolecall.audit_log REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION rolecall.note_unpublished();

-- A consumer that had read what is cut here, and not all of it, could keep a member whose removal it never gets. So it must begin
-- anew. That goes for all of them if an entry is cut that had no number yet.
-- +goose StatementBegin
CREATE FUNCTION rolecall.cut_feed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    gone bigint;
    reached bigint;
    unnumbered boolean;
BEGIN
    PERFORM FROM rolecall.feed FOR UPDATE; -- no entry gets its number meanwhile
    WITH taken AS (
        DELETE FROM rolecall.changes WHERE entry_id IN (SELECT id FROM cut) RETURNING number
    )
    SELECT count(*), max(number) INTO gone, reached FROM taken;
    SELECT count(*) > gone INTO unnumbered FROM cut WHERE rolecall.in_feed(action, target);
    IF unnumbered THEN
        reached := 9223372036854775807;
    END IF;
    IF reached IS NOT NULL THEN
        DELETE FROM rolecall.feed_cuts WHERE through <= reached;
        UPDATE rolecall.feed SET cuts = cuts + 1;
        INSERT INTO rolecall.feed_cuts (cut, through) SELECT cuts, reached FROM rolecall.feed;
    END IF;
    RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER audit_log_cut AFTER DELETE ON rolecall.audit_log REFERENCING OLD TABLE AS cut
    FOR EACH STATEMENT EXECUTE FUNCTION rolecall.cut_feed();

-- The triggers' locks have waited for all writers, and hold up others until this is committed. So all entries up to the last one are
-- visible, and later ones have greater ids.
INSERT INTO rolecall.feed (old_through) SELECT max(id) FROM rolecall.audit_log;

-- +goose Down
DROP TRIGGER audit_log_unpublished ON rolecall.audit_log;
DROP TRIGGER audit_log_cut ON rolecall.audit_log;
DROP FUNCTION rolecall.note_unpublished, rolecall.cut_feed;
DROP VIEW rolecall.first_unpublished;
DROP TABLE rolecall.unpublished, rolecall.changes, rolecall.feed, rolecall.feed_histories, rolecall.feed_cuts;
DROP FUNCTION rolecall.in_feed;
