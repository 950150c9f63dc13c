-- Whose change is this, asked of creations that are done, too: who creates a workspace joins it, perhaps a moment later (query
-- OpenCommands). Without this index it reads a whole day of commands.

-- +goose Up
SET LOCAL lock_timeout = '5s'; -- never queue behind a long transaction: everybody else would queue behind us

CREATE INDEX commands_creations ON rolecall.commands (organization_id) WHERE action = 'workspace.created';

-- +goose Down
DROP INDEX rolecall.commands_creations;
