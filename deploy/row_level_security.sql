-- A table of your own whose rows belong to workspaces, in Rolecall's database. Only members see rows, and only of their own
-- workspaces, also where a query forgets to ask for them alone. (Whoever can put SQL of their own into your queries can also
-- call set_config, and be somebody else: this is no protection against that.) Run it as the owner of the table; rolecall_reader is the role that may ask
-- Rolecall who may do what.

CREATE SCHEMA app;
CREATE TABLE app.reports (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    workspace_id text NOT NULL,
    title        text NOT NULL
);
CREATE INDEX reports_workspace ON app.reports (workspace_id);

-- What your application connects as. It owns nothing, so that it can't switch the policies off; forced, they bind the
-- table's owner too. (They bind no superuser, and nobody with BYPASSRLS.)
CREATE ROLE reports_app NOLOGIN NOSUPERUSER NOBYPASSRLS; -- yours has LOGIN and a password
GRANT rolecall_reader TO reports_app;
GRANT USAGE ON SCHEMA app TO reports_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON app.reports TO reports_app;
ALTER TABLE app.reports ENABLE ROW LEVEL SECURITY;
ALTER TABLE app.reports FORCE ROW LEVEL SECURITY;

-- Who is asking: `SET LOCAL app.user_id = 'user_…'` (or set_config('app.user_id', $1, true)) at the beginning of each
-- transaction, from a token that was verified. Without it nobody is, and there are no rows.
--
-- The subqueries mention no column of the table: so Postgres asks once for each statement, not once for each row. As an array,
-- because in a policy `workspace_id IN (SELECT …)` can't use the table's index.
CREATE POLICY see ON app.reports FOR SELECT USING (workspace_id = ANY (ARRAY(
    SELECT w.id FROM rolecall.workspaces_of(current_setting('app.user_id', true)) AS w (id)
    WHERE rolecall.can(current_setting('app.user_id', true), w.id, 'reports:read')
)));
CREATE POLICY make ON app.reports FOR INSERT WITH CHECK (workspace_id = ANY (ARRAY(
    SELECT w.id FROM rolecall.workspaces_of(current_setting('app.user_id', true)) AS w (id)
    WHERE rolecall.can(current_setting('app.user_id', true), w.id, 'analyses:run')
)));
-- Without WITH CHECK, USING is held against the new row too: nobody moves a row into a workspace of others.
CREATE POLICY alter ON app.reports FOR UPDATE USING (workspace_id = ANY (ARRAY(
    SELECT w.id FROM rolecall.workspaces_of(current_setting('app.user_id', true)) AS w (id)
    WHERE rolecall.can(current_setting('app.user_id', true), w.id, 'analyses:run')
)));
-- For few rows at a time, one call for each row (some 0.1 ms) is as good.
CREATE POLICY remove ON app.reports FOR DELETE USING (
    rolecall.can(current_setting('app.user_id', true), workspace_id, 'workspace:update')
);
