-- By which request a command was asked for, so that the log of the service and the audit log lead to each other. The id is of the
-- caller's choice, and goes with the command: it is no part of the audit log, whose entries stay for ever.

-- +goose Up
SET LOCAL lock_timeout = '5s'; -- never queue behind a long transaction: everybody else would queue behind us

ALTER TABLE rolecall.commands
    ADD COLUMN request_id text, -- null: the process knew none
    ADD COLUMN shown_by text; -- the cause of the audit entry of its change, if a delivery or a sweep showed the change first; null: the command itself

CREATE INDEX commands_shown_by ON rolecall.commands (shown_by) WHERE shown_by IS NOT NULL;

-- +goose Down
DROP INDEX rolecall.commands_shown_by;
ALTER TABLE rolecall.commands DROP shown_by, DROP request_id;
