-- The workspaces by slug, for routes that name their workspace by the host. Slugs aren't unique: they move, and events come in any order.

-- +goose NO TRANSACTION
-- +goose Up
-- Built as 00030 builds its index. A longer slug can't be a label of a host, and might not fit into the index.
SET lock_timeout = '5s';
DROP INDEX CONCURRENTLY IF EXISTS rolecall.organizations_slug;
SET lock_timeout = '1min';
CREATE INDEX CONCURRENTLY organizations_slug ON rolecall.organizations (slug) WHERE deleted_at IS NULL AND octet_length(slug) < 64;
RESET lock_timeout;

-- +goose Down
DROP INDEX rolecall.organizations_slug;
