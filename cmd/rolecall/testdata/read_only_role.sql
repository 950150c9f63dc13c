-- A role for ROLECALL_READ_DATABASE_URL: it may read all of Rolecall's tables, and change nothing. Run it after `rolecall migrate`,
-- in its database, as the role that migrated or a superuser; the last line once more after each later `rolecall migrate`.
CREATE ROLE rolecall_api LOGIN PASSWORD 'change-me' NOSUPERUSER NOBYPASSRLS;
GRANT USAGE ON SCHEMA rolecall TO rolecall_api;
GRANT SELECT ON ALL TABLES IN SCHEMA rolecall TO rolecall_api;
