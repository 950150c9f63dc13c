-- A role for ROLECALL_READ_DATABASE_URL: it may read all of Rolecall's tables and views, and change nothing.
-- Run this file after `rolecall migrate`, in Rolecall's database, as the role that migrates.
-- The last line covers the tables that later migrations add, if the role that ran it makes them. If a superuser runs
-- this file instead, write: ALTER DEFAULT PRIVILEGES FOR ROLE the_role_that_migrates IN SCHEMA ….
CREATE ROLE rolecall_api LOGIN PASSWORD 'change-me' NOSUPERUSER NOBYPASSRLS;
GRANT USAGE ON SCHEMA rolecall TO rolecall_api;
GRANT SELECT ON ALL TABLES IN SCHEMA rolecall TO rolecall_api;
ALTER DEFAULT PRIVILEGES IN SCHEMA rolecall GRANT SELECT ON TABLES TO rolecall_api;
