-- A role for reports: it may read who is a member of which workspace, and ask who may do what. It reads names and e-mail
-- addresses of all users, so give it to people and programs that may know them, and not to your product.
-- Run this file after `rolecall migrate`, in Rolecall's database, as the role that migrates.
CREATE ROLE rolecall_reports LOGIN PASSWORD 'change-me' NOSUPERUSER NOBYPASSRLS;
ALTER ROLE rolecall_reports SET statement_timeout = '10min';
GRANT rolecall_reader TO rolecall_reports; -- the schema, and the functions can and workspaces_of
GRANT SELECT ON rolecall.live_members, rolecall.current_memberships TO rolecall_reports;
