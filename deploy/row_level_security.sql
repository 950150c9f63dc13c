-- A table of your own in Rolecall's database, whose rows belong to workspaces. Users see only rows of their own
-- workspaces, even if a query lacks its WHERE. This doesn't protect against injected SQL, which can call set_config and
-- so act as another user.
--
-- Run this file as the table's owner. The role rolecall_reader may ask Rolecall who may do what.

CREATE SCHEMA app;
CREATE TABLE app.reports (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    workspace_id text NOT NULL,
    title        text NOT NULL
);
CREATE INDEX reports_workspace ON app.reports (workspace_id);

-- The role of your application. It owns nothing, so that it can't switch the policies off. Because they are forced,
-- they bind the table's owner, too. They bind no superuser and no role with BYPASSRLS.
CREATE ROLE reports_app NOLOGIN NOSUPERUSER NOBYPASSRLS; -- yours has LOGIN and a password
GRANT rolecall_reader TO reports_app;
GRANT USAGE ON SCHEMA app TO reports_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON app.reports TO reports_app;
ALTER TABLE app.reports ENABLE ROW LEVEL SECURITY;
ALTER TABLE app.reports FORCE ROW LEVEL SECURITY;

-- At the beginning of each transaction, name the asking user, from a token that you have verified:
-- `SET LOCAL app.user_id = 'user_…'`, or set_config('app.user_id', $1, true). Without it there are no rows.
--
-- The subqueries mention no column of the table: so Postgres asks once for each statement, not once for each row. They
-- make an array, because in a policy `workspace_id IN (SELECT …)` can't use the table's index.
CREATE POLICY see ON app.reports FOR SELECT USING (workspace_id = ANY (ARRAY(
    SELECT w.id FROM rolecall.workspaces_of(current_setting('app.user_id', true)) AS w (id)
    WHERE rolecall.can(current_setting('app.user_id', true), w.id, 'reports:read')
)));
CREATE POLICY make ON app.reports FOR INSERT WITH CHECK (workspace_id = ANY (ARRAY(
    SELECT w.id FROM rolecall.workspaces_of(current_setting('app.user_id', true)) AS w (id)
    WHERE rolecall.can(current_setting('app.user_id', true), w.id, 'analyses:run')
)));
-- Without WITH CHECK, USING also checks the new row: no user moves a row into a workspace of others.
CREATE POLICY alter ON app.reports FOR UPDATE USING (workspace_id = ANY (ARRAY(
    SELECT w.id FROM rolecall.workspaces_of(current_setting('app.user_id', true)) AS w (id)
    WHERE rolecall.can(current_setting('app.user_id', true), w.id, 'analyses:run')
)));
-- For a few rows at a time, one call for each row is as good: it takes some 0.1 ms.
CREATE POLICY remove ON app.reports FOR DELETE USING (
    rolecall.can(current_setting('app.user_id', true), workspace_id, 'workspace:update')
);
