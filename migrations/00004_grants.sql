-- Access as SQL functions, for the row-level security of tables beside Rolecall's: what the policy grants, and the answers.

-- +goose Up
SET LOCAL lock_timeout = '5s'; -- never queue behind a long transaction: everybody else would queue behind us

-- The policy of whichever `rolecall serve` began, or read its policy, last. Empty until one has: then no role grants anything.
CREATE TABLE rolecall.grants (
    role       text NOT NULL,
    permission text NOT NULL,
    PRIMARY KEY (role, permission)
);

-- Both functions run as the role that migrated, so that their callers need no right to any table, and in PL/pgSQL,
-- because that keeps its plans for as long as a session lives: a function in SQL would plan the view anew in each statement.
-- They see what the statement that calls them sees.

-- Whether a user may use a permission in a workspace, as POST /v1/authorize says it; the empty permission asks for membership
-- alone. False, never null, for whoever is null or unknown.
-- +goose StatementBegin
CREATE FUNCTION rolecall.can(user_id text, workspace_id text, permission text) RETURNS boolean
    LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER COST 1000 SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN EXISTS (
        SELECT FROM rolecall.live_members m
        WHERE m.organization_id = can.workspace_id AND m.user_id = can.user_id AND (
            can.permission = '' OR can.permission = ANY (m.permissions)
            OR EXISTS (SELECT FROM rolecall.grants g WHERE g.role = m.role AND g.permission = can.permission)
        )
    );
END
$$;
-- +goose StatementEnd

-- The workspaces that a user is a member of.
-- +goose StatementBegin
CREATE FUNCTION rolecall.workspaces_of(user_id text) RETURNS SETOF text
    LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER COST 1000 ROWS 10 SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY SELECT m.organization_id FROM rolecall.live_members m WHERE m.user_id = workspaces_of.user_id;
END
$$;
-- +goose StatementEnd

REVOKE ALL ON FUNCTION rolecall.can, rolecall.workspaces_of FROM PUBLIC;

-- Who may call them, and may do nothing else. Roles belong to the whole server, not to this database: another database may have
-- made the role already, or is just making it, and whoever migrates may not be allowed to make roles at all. Then somebody
-- who is has to, and to grant what is granted here; until then nobody but the functions' owner can call them.
-- +goose StatementBegin
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'rolecall_reader') THEN
        CREATE ROLE rolecall_reader NOLOGIN;
    END IF;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL;
    WHEN insufficient_privilege THEN RAISE NOTICE 'the role rolecall_reader can not be made by %', current_user;
END
$$;
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'rolecall_reader') THEN
        GRANT USAGE ON SCHEMA rolecall TO rolecall_reader;
        GRANT EXECUTE ON FUNCTION rolecall.can, rolecall.workspaces_of TO rolecall_reader;
    END IF;
END
$$;
-- +goose StatementEnd

-- +goose Down
-- The role stays: other databases of the server may use it.
-- +goose StatementBegin
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'rolecall_reader') THEN
        REVOKE USAGE ON SCHEMA rolecall FROM rolecall_reader;
    END IF;
END
$$;
-- +goose StatementEnd
DROP FUNCTION rolecall.can, rolecall.workspaces_of;
DROP TABLE rolecall.grants;
