-- What support looks people and workspaces up by, in any case: an e-mail address, a name, or how one begins. Sessions end with their user.

-- +goose NO TRANSACTION
-- +goose Up
-- Whose session ended. Null: Clerk didn't say, or an older instance recorded the end.
SET lock_timeout = '5s'; -- never queue behind a long transaction: everybody else would queue behind us
ALTER TABLE rolecall.ended_sessions ADD COLUMN IF NOT EXISTS user_id text;

-- Room beside the rows of new users, so that their updates needn't write all of the indexes below.
ALTER TABLE rolecall.users SET (fillfactor = 85);

-- Each index is built as 00030 builds its index. Names come from strangers and may be long: only their beginnings are in the indexes.
-- Bytes order them (COLLATE "C"), so that an index finds a beginning whatever the database's collation is.
DROP INDEX CONCURRENTLY IF EXISTS rolecall.organizations_by_name;
DROP INDEX CONCURRENTLY IF EXISTS rolecall.organizations_deleted_by_name;
DROP INDEX CONCURRENTLY IF EXISTS rolecall.organizations_deleted_by_slug;
DROP INDEX CONCURRENTLY IF EXISTS rolecall.users_by_identifier;
DROP INDEX CONCURRENTLY IF EXISTS rolecall.users_by_name;
DROP INDEX CONCURRENTLY IF EXISTS rolecall.users_by_last_name;
DROP INDEX CONCURRENTLY IF EXISTS rolecall.users_deleted_by_identifier;
DROP INDEX CONCURRENTLY IF EXISTS rolecall.users_deleted_by_name;
DROP INDEX CONCURRENTLY IF EXISTS rolecall.invitations_of_user;
DROP INDEX CONCURRENTLY IF EXISTS rolecall.ended_sessions_of_user;
SET lock_timeout = '1min'; -- building waits for the transactions under way, also for an older instance that waits to migrate
CREATE INDEX CONCURRENTLY organizations_by_name ON rolecall.organizations (lower(left(name, 64)) COLLATE "C", id) WHERE deleted_at IS NULL;
CREATE INDEX CONCURRENTLY organizations_deleted_by_name ON rolecall.organizations (lower(left(name, 64)) COLLATE "C", id)
    WHERE deleted_at IS NOT NULL;
CREATE INDEX CONCURRENTLY organizations_deleted_by_slug ON rolecall.organizations (slug)
    WHERE deleted_at IS NOT NULL AND octet_length(slug) < 64;
CREATE INDEX CONCURRENTLY users_by_identifier ON rolecall.users (lower(left(coalesce(identifier, ''), 64)) COLLATE "C", id)
    WHERE deleted_at IS NULL;
CREATE INDEX CONCURRENTLY users_by_name ON rolecall.users
    (lower(left(btrim(coalesce(first_name, '') || ' ' || coalesce(last_name, '')), 64)) COLLATE "C", id) WHERE deleted_at IS NULL;
CREATE INDEX CONCURRENTLY users_by_last_name ON rolecall.users (lower(left(last_name, 64)) COLLATE "C", id)
    WHERE deleted_at IS NULL AND last_name IS NOT NULL;
CREATE INDEX CONCURRENTLY users_deleted_by_identifier ON rolecall.users (lower(left(coalesce(identifier, ''), 64)) COLLATE "C", id)
    WHERE deleted_at IS NOT NULL;
CREATE INDEX CONCURRENTLY users_deleted_by_name ON rolecall.users
    (lower(left(btrim(coalesce(first_name, '') || ' ' || coalesce(last_name, '')), 64)) COLLATE "C", id) WHERE deleted_at IS NOT NULL;
CREATE INDEX CONCURRENTLY invitations_of_user ON rolecall.invitations (user_id, organization_id) WHERE user_id IS NOT NULL;
CREATE INDEX CONCURRENTLY ended_sessions_of_user ON rolecall.ended_sessions (user_id, ended_at) WHERE user_id IS NOT NULL;
RESET lock_timeout;

-- +goose Down
DROP INDEX rolecall.ended_sessions_of_user;
DROP INDEX rolecall.invitations_of_user;
DROP INDEX rolecall.users_deleted_by_name;
DROP INDEX rolecall.users_deleted_by_identifier;
DROP INDEX rolecall.users_by_last_name;
DROP INDEX rolecall.users_by_name;
DROP INDEX rolecall.users_by_identifier;
DROP INDEX rolecall.organizations_deleted_by_slug;
DROP INDEX rolecall.organizations_deleted_by_name;
DROP INDEX rolecall.organizations_by_name;
ALTER TABLE rolecall.users RESET (fillfactor);
ALTER TABLE rolecall.ended_sessions DROP COLUMN user_id;
