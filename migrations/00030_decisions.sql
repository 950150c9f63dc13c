-- What decisions read: the roles in one piece, for processes that remember them, and an index by which a pair is found at once, also of
-- a user with thousands of memberships.

-- +goose NO TRANSACTION
-- +goose Up
-- The roles by each key that they ever had, as sync.Roles has them; null if there are none. It is a function, so that a query that
-- doesn't call it pays nothing for it. It sees what the calling query sees.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION rolecall.role_keys() RETURNS json
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (
        SELECT json_agg(json_build_object('named', named.key, 'since', named.value, 'key', r.key, 'permissions', CASE
            WHEN r.deleted_at IS NOT NULL THEN '{}'
            ELSE ARRAY(SELECT p.key FROM rolecall.permissions p WHERE p.id = ANY (r.permission_ids) AND p.deleted_at IS NULL)
        END) ORDER BY r.id)
        FROM rolecall.roles r, jsonb_each(r.keys) AS named
    );
END
$$;
-- +goose StatementEnd

-- It also serves what memberships_user served. It is built beside writers, without a transaction. If that is cut off, an invalid index
-- is left, and the next run drops it.
SET lock_timeout = '5s';
DROP INDEX CONCURRENTLY IF EXISTS rolecall.memberships_user_pair;
SET lock_timeout = '1min'; -- building waits for the transactions under way, also for an older instance that waits to migrate
CREATE INDEX CONCURRENTLY memberships_user_pair ON rolecall.memberships (user_id, organization_id);
SET lock_timeout = '5s'; -- never queue behind a long transaction: everybody else would queue behind us
DROP INDEX CONCURRENTLY IF EXISTS rolecall.memberships_user;
RESET lock_timeout;

-- +goose Down
CREATE INDEX memberships_user ON rolecall.memberships (user_id);
DROP INDEX rolecall.memberships_user_pair;
DROP FUNCTION rolecall.role_keys;
