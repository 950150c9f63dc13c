-- Entries without an actor, which most webhooks make, get no place in the index of actors. And triggers ask whether an account is
-- refused in plain words: Postgres parsed the body of rolecall.refused at each statement that writes users.

-- +goose NO TRANSACTION
-- +goose Up
-- The index is built beside writers, without a transaction. If that is cut off, an invalid index is left, and the next run drops it.
SET lock_timeout = '5s';
DROP INDEX CONCURRENTLY IF EXISTS rolecall.audit_log_of_actor;
SET lock_timeout = '1min'; -- building waits for the transactions under way, also for an older instance that waits to migrate
CREATE INDEX CONCURRENTLY audit_log_of_actor ON rolecall.audit_log (organization_id, actor, at, seq) WHERE actor IS NOT NULL;
SET lock_timeout = '5s'; -- never queue behind a long transaction: everybody else would queue behind us
DROP INDEX CONCURRENTLY IF EXISTS rolecall.audit_log_actor;

CREATE OR REPLACE TRIGGER users_inserted AFTER INSERT ON rolecall.users REFERENCING NEW TABLE AS written
    FOR EACH ROW WHEN (NEW.deleted_at IS NOT NULL OR NEW.banned OR NEW.deprovisioned)
    EXECUTE FUNCTION rolecall.count_accounts();
CREATE OR REPLACE TRIGGER users_updated AFTER UPDATE ON rolecall.users REFERENCING OLD TABLE AS overwritten NEW TABLE AS written
    FOR EACH ROW WHEN ((NEW.deleted_at IS NOT NULL OR NEW.banned OR NEW.deprovisioned)
        <> (OLD.deleted_at IS NOT NULL OR OLD.banned OR OLD.deprovisioned))
    EXECUTE FUNCTION rolecall.count_accounts();
RESET lock_timeout;

-- +goose Down
CREATE OR REPLACE TRIGGER users_updated AFTER UPDATE ON rolecall.users REFERENCING OLD TABLE AS overwritten NEW TABLE AS written
    FOR EACH ROW WHEN (rolecall.refused(NEW.deleted_at, NEW.banned, NEW.deprovisioned)
        <> rolecall.refused(OLD.deleted_at, OLD.banned, OLD.deprovisioned))
    EXECUTE FUNCTION rolecall.count_accounts();
CREATE OR REPLACE TRIGGER users_inserted AFTER INSERT ON rolecall.users REFERENCING NEW TABLE AS written
    FOR EACH ROW WHEN (rolecall.refused(NEW.deleted_at, NEW.banned, NEW.deprovisioned))
    EXECUTE FUNCTION rolecall.count_accounts();
CREATE INDEX audit_log_actor ON rolecall.audit_log (organization_id, actor, at, seq);
DROP INDEX rolecall.audit_log_of_actor;
