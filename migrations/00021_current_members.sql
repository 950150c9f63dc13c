-- Which membership of a pair counts, and how many members a workspace has, are stored, not worked out at each reading. Triggers keep
-- both for every writer. Migration 00022 fills them for the rows that are here already.

-- +goose Up
SET LOCAL lock_timeout = '5s'; -- never queue behind a long transaction: everybody else would queue behind us

-- In the order in which workers lock: else migrating and working could wait for each other.
LOCK TABLE rolecall.users, rolecall.memberships, rolecall.permissions, rolecall.roles, rolecall.revisions IN ACCESS EXCLUSIVE MODE;

-- Whether another membership of the pair came after this one, by the rule of stale_flags. It is exact for live rows only. So a
-- membership is its pair's current one if `deleted_at IS NULL AND NOT followed`.
ALTER TABLE rolecall.memberships ADD followed boolean NOT NULL DEFAULT false;

-- How many users are members by a current membership and aren't refused. An organization without a row has no member.
-- Its row is also the lock under which the flags of its pairs are decided. So no row is ever deleted.
CREATE TABLE rolecall.member_counts (
    organization_id text PRIMARY KEY,
    members         bigint NOT NULL
) WITH (fillfactor = 50);

-- Changes with every change of a role or a permission, in the row of ''. A process may remember by it what the roles permit.
ALTER TABLE rolecall.revisions ADD roles_stamp uuid;
INSERT INTO rolecall.revisions AS r (organization_id, revision, roles_stamp) VALUES ('', 0, gen_random_uuid())
ON CONFLICT (organization_id) DO UPDATE SET roles_stamp = excluded.roles_stamp;

-- Whether an account keeps its user out everywhere. An unknown account, all null, doesn't.
-- +goose StatementBegin
CREATE FUNCTION rolecall.refused(deleted_at timestamptz, banned boolean, deprovisioned boolean) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT deleted_at IS NOT NULL OR banned IS TRUE OR deprovisioned IS TRUE
$$;
-- +goose StatementEnd

-- The live memberships of pairs whose flag isn't what the rule says. Of a pair the one that was created last is the last one, also if
-- it is dead; unless another one is known to have lived clearly after that one's end (see migration 00020).
-- +goose StatementBegin
CREATE FUNCTION rolecall.stale_flags(organizations text[], users text[]) RETURNS text[] LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (
        SELECT array_agg(DISTINCT m.id)
        FROM unnest(organizations, users) AS pair (organization_id, user_id)
        CROSS JOIN LATERAL (
            SELECT l.id, l.followed, l.created_at, l.alive_at FROM rolecall.memberships l
            WHERE l.organization_id = pair.organization_id AND l.user_id = pair.user_id AND l.deleted_at IS NULL
            OFFSET 0 -- one look into the index for each pair, whatever the planner guesses
        ) m
        WHERE m.followed <> EXISTS (
            SELECT FROM rolecall.memberships n
            WHERE n.organization_id = pair.organization_id AND n.user_id = pair.user_id
                AND (n.created_at, n.deleted_at IS NULL, n.id) > (m.created_at, true, m.id)
                AND (n.deleted_at IS NOT NULL AND m.alive_at > n.deleted_at + interval '100 ms') IS NOT TRUE
        )
    );
END
$$;
-- +goose StatementEnd

-- Ends a change of memberships: counts it, and decides which membership of each pair is current. The arrays are as long as each other,
-- and in the order of the hashes of the users: a pair, and by how much its number of current memberships has changed already.
-- +goose StatementBegin
CREATE FUNCTION rolecall.settle_pairs(organizations text[], users text[], changes integer[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    waited boolean;
    stale text[];
BEGIN
    -- A change of a user's account waits until this change is committed, or this one waits for it (see count_accounts).
    -- Many users share one lock: there is room for some thousands.
    IF cardinality(users) > 500 THEN
        PERFORM pg_advisory_xact_lock(1919904870, 0);
    ELSE
        FOR i IN 1 .. cardinality(users) LOOP -- an expression, for which PL/pgSQL needs no query
            waited := pg_advisory_xact_lock_shared(1919904869, hashtext(users[i])) IS NULL;
        END LOOP;
    END IF;
    INSERT INTO rolecall.member_counts AS c (organization_id, members)
    SELECT p.organization_id, sum(CASE WHEN rolecall.refused(u.deleted_at, u.banned, u.deprovisioned) THEN 0 ELSE p.change END)
    FROM unnest(organizations, users, changes) AS p (organization_id, user_id, change)
    LEFT JOIN rolecall.users u ON u.id = p.user_id
    GROUP BY p.organization_id ORDER BY p.organization_id
    ON CONFLICT (organization_id) DO UPDATE SET members = c.members + excluded.members;
    -- Under the locks of the counts, so that of two changes of one pair the second one sees the first.
    stale := rolecall.stale_flags(organizations, users);
    IF stale IS NOT NULL THEN
        UPDATE rolecall.memberships SET followed = NOT followed WHERE id = ANY (stale); -- which comes back here once
    END IF;
END
$$;
-- +goose StatementEnd

-- Locks are taken in the order of queries/mirror.sql: the pairs' other rows, the users, the organizations' counts. Postgres would plan
-- for an array, whose length it can't guess, each time anew. That takes several times as long as the work.
-- +goose StatementBegin
CREATE FUNCTION rolecall.keep_current() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    organizations text[];
    users text[];
    changes integer[];
    others text[];
BEGIN
    CASE TG_OP
    WHEN 'INSERT' THEN
        SELECT array_agg(n.organization_id), array_agg(n.user_id), array_agg((n.deleted_at IS NULL AND NOT n.followed)::integer)
        INTO organizations, users, changes
        FROM (SELECT * FROM written w ORDER BY hashtext(w.user_id)) n;
    WHEN 'DELETE' THEN
        SELECT array_agg(o.organization_id), array_agg(o.user_id), array_agg(-(o.deleted_at IS NULL AND NOT o.followed)::integer)
        INTO organizations, users, changes
        FROM (SELECT * FROM overwritten w ORDER BY hashtext(w.user_id)) o;
    ELSE -- other changes, such as a role's, concern neither flags nor counts
        SELECT array_agg(r.organization_id), array_agg(r.user_id), array_agg(r.change)
        INTO organizations, users, changes
        FROM (
            SELECT v.organization_id, v.user_id, v.sign * (v.deleted_at IS NULL AND NOT v.followed)::integer AS change
            FROM written n JOIN overwritten o ON o.id = n.id
            CROSS JOIN LATERAL (VALUES
                (n.organization_id, n.user_id, n.deleted_at, n.followed, 1),
                (o.organization_id, o.user_id, o.deleted_at, o.followed, -1)
            ) AS v (organization_id, user_id, deleted_at, followed, sign)
            WHERE (n.organization_id, n.user_id, n.created_at, n.deleted_at, n.alive_at, n.followed)
                IS DISTINCT FROM (o.organization_id, o.user_id, o.created_at, o.deleted_at, o.alive_at, o.followed)
            ORDER BY hashtext(v.user_id)
        ) r;
    END CASE;
    IF users IS NULL THEN
        RETURN NULL;
    END IF;
    others := rolecall.stale_flags(organizations, users); -- as far as can be seen before the locks
    IF others IS NOT NULL THEN
        PERFORM FROM rolecall.memberships m WHERE m.id = ANY (others) ORDER BY m.id FOR NO KEY UPDATE;
    END IF;
    PERFORM rolecall.settle_pairs(organizations, users, changes);
    RETURN NULL;
END
$$;
-- +goose StatementEnd

-- Counts the memberships of users whose accounts are now refused, or no longer. It runs once for each of their rows, which costs other
-- changes of users nothing; the first row does the work for all, so that locks are taken in order.
-- +goose StatementBegin
CREATE FUNCTION rolecall.count_accounts() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    ids text[];
    changes integer[];
BEGIN
    IF TG_OP = 'INSERT' THEN
        SELECT array_agg(n.id ORDER BY n.id), array_agg(-1) INTO ids, changes
        FROM written n WHERE rolecall.refused(n.deleted_at, n.banned, n.deprovisioned);
    ELSE
        SELECT array_agg(n.id ORDER BY n.id),
            array_agg(CASE WHEN rolecall.refused(n.deleted_at, n.banned, n.deprovisioned) THEN -1 ELSE 1 END ORDER BY n.id)
        INTO ids, changes
        FROM written n JOIN overwritten o ON o.id = n.id
        WHERE rolecall.refused(n.deleted_at, n.banned, n.deprovisioned) <> rolecall.refused(o.deleted_at, o.banned, o.deprovisioned);
    END IF;
    IF NEW.id <> ids[1] THEN
        RETURN NULL;
    END IF;
    -- A membership that another transaction is just writing isn't visible yet. Its writer holds these locks, too.
    PERFORM pg_advisory_xact_lock_shared(1919904870, 0);
    PERFORM pg_advisory_xact_lock(1919904869, account.key)
    FROM (SELECT DISTINCT hashtext(u.id) AS key FROM unnest(ids) AS u (id) ORDER BY key) account;
    INSERT INTO rolecall.member_counts AS c (organization_id, members)
    SELECT m.organization_id, sum(account.change)
    FROM unnest(ids, changes) AS account (id, change)
    JOIN rolecall.memberships m ON m.user_id = account.id AND m.deleted_at IS NULL AND NOT m.followed
    GROUP BY m.organization_id ORDER BY m.organization_id
    ON CONFLICT (organization_id) DO UPDATE SET members = c.members + excluded.members;
    RETURN NULL;
END
$$;
-- +goose StatementEnd

-- Until migration 00023, an organization without a row may have members that weren't counted yet. The transaction that adds the row
-- counts them. That is right, because each change that isn't committed yet waits for the row, and then adds to it.
-- +goose StatementBegin
CREATE FUNCTION rolecall.count_first() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE rolecall.member_counts c SET members = (
        SELECT count(*) FROM rolecall.memberships m LEFT JOIN rolecall.users u ON u.id = m.user_id
        WHERE m.organization_id = NEW.organization_id AND m.deleted_at IS NULL AND NOT m.followed
            AND NOT rolecall.refused(u.deleted_at, u.banned, u.deprovisioned)
    )
    WHERE c.organization_id = NEW.organization_id;
    RETURN NULL;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION rolecall.stamp_roles() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO rolecall.revisions AS r (organization_id, revision, roles_stamp) VALUES ('', 0, gen_random_uuid())
    ON CONFLICT (organization_id) DO UPDATE SET roles_stamp = excluded.roles_stamp;
    RETURN NULL;
END
$$;
-- +goose StatementEnd

-- The triggers run as the role that migrated, so that writers need no right but to the tables that they write.
REVOKE ALL ON FUNCTION rolecall.stale_flags, rolecall.settle_pairs, rolecall.keep_current, rolecall.count_accounts,
    rolecall.count_first, rolecall.stamp_roles FROM PUBLIC;

CREATE TRIGGER member_counts_first AFTER INSERT ON rolecall.member_counts FOR EACH ROW EXECUTE FUNCTION rolecall.count_first();

CREATE TRIGGER memberships_inserted AFTER INSERT ON rolecall.memberships REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION rolecall.keep_current();
CREATE TRIGGER memberships_updated AFTER UPDATE ON rolecall.memberships REFERENCING OLD TABLE AS overwritten NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION rolecall.keep_current();
CREATE TRIGGER memberships_deleted AFTER DELETE ON rolecall.memberships REFERENCING OLD TABLE AS overwritten
    FOR EACH STATEMENT EXECUTE FUNCTION rolecall.keep_current();

CREATE TRIGGER users_inserted AFTER INSERT ON rolecall.users REFERENCING NEW TABLE AS written
    FOR EACH ROW WHEN (rolecall.refused(NEW.deleted_at, NEW.banned, NEW.deprovisioned))
    EXECUTE FUNCTION rolecall.count_accounts();
CREATE TRIGGER users_updated AFTER UPDATE ON rolecall.users REFERENCING OLD TABLE AS overwritten NEW TABLE AS written
    FOR EACH ROW WHEN (rolecall.refused(NEW.deleted_at, NEW.banned, NEW.deprovisioned)
        <> rolecall.refused(OLD.deleted_at, OLD.banned, OLD.deprovisioned))
    EXECUTE FUNCTION rolecall.count_accounts();

-- At the commit, when the transaction has the row of '' already (query CountChanges): earlier would break the order of locks.
CREATE CONSTRAINT TRIGGER roles_stamp AFTER INSERT OR UPDATE OR DELETE ON rolecall.roles DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION rolecall.stamp_roles();
CREATE CONSTRAINT TRIGGER permissions_stamp AFTER INSERT OR UPDATE OR DELETE ON rolecall.permissions DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION rolecall.stamp_roles();

-- +goose Down
DROP TRIGGER permissions_stamp ON rolecall.permissions;
DROP TRIGGER roles_stamp ON rolecall.roles;
DROP TRIGGER users_updated ON rolecall.users;
DROP TRIGGER users_inserted ON rolecall.users;
DROP TRIGGER memberships_deleted ON rolecall.memberships;
DROP TRIGGER memberships_updated ON rolecall.memberships;
DROP TRIGGER memberships_inserted ON rolecall.memberships;
ALTER TABLE rolecall.revisions DROP roles_stamp;
DROP TABLE rolecall.member_counts;
DROP FUNCTION IF EXISTS rolecall.stamp_roles, rolecall.count_first, rolecall.count_accounts, rolecall.keep_current, rolecall.settle_pairs,
    rolecall.stale_flags, rolecall.refused;
ALTER TABLE rolecall.memberships DROP followed;
