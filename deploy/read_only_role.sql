-- A role for ROLECALL_READ_DATABASE_URL: it may read all of Rolecall's tables and views, and change nothing. Run it after `rolecall
-- migrate`, in its database, as the role that migrates. The last line is for what later migrations add, and holds for what that very
-- role makes: a superuser who runs it for another one says ALTER DEFAULT PRIVILEGES FOR ROLE the_one_that_migrates IN SCHEMA ….
CREATE ROLE rolecall_api LOGIN PASSWORD 'change-me' NOSUPERUSER NOBYPASSRLS;
GRANT USAGE ON SCHEMA rolecall TO rolecall_api;
GRANT SELECT ON ALL TABLES IN SCHEMA rolecall TO rolecall_api;
ALTER DEFAULT PRIVILEGES IN SCHEMA rolecall GRANT SELECT ON TABLES TO rolecall_api;
