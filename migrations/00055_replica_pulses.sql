-- Pulses: how a replica proves how near it is. A process writes numbers on the primary. A replica that shows one has replayed all that
-- was committed before it, on the primary on which the process wrote it. A position in the WAL wouldn't prove that: another server may
-- have been promoted, and have written as much, before anybody notes it.

-- +goose Up
SET LOCAL lock_timeout = '5s'; -- never queue behind a long transaction: everybody else would queue behind us

CREATE TABLE rolecall.replica_pulses (
    process bigint      PRIMARY KEY, -- a number that the process drew when it began
    pulse   bigint      NOT NULL,    -- rises
    at      timestamptz NOT NULL
) WITH (fillfactor = 25); -- there are a few rows, and each is written many times a second

-- Writes a pulse and returns the history of the server; null, and nothing is written, if nobody has noted the server. No standby is
-- waited for: one that has hung must not end the pulses of the others.
-- +goose StatementBegin
CREATE FUNCTION rolecall.beat(beats bigint, number bigint) RETURNS uuid
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    history uuid := rolecall.current_history();
BEGIN
    IF history IS NULL THEN
        RETURN NULL;
    END IF;
    PERFORM set_config('synchronous_commit', 'local', true); -- of the transaction
    IF number = 1 THEN -- once for each process
        DELETE FROM rolecall.replica_pulses WHERE at < now() - interval '1 hour';
    END IF;
    INSERT INTO rolecall.replica_pulses (process, pulse, at) VALUES (beats, number, now())
    ON CONFLICT (process) DO UPDATE SET pulse = excluded.pulse, at = excluded.at WHERE replica_pulses.pulse < excluded.pulse;
    RETURN history;
END
$$;
-- +goose StatementEnd

-- +goose Down
DROP FUNCTION rolecall.beat;
DROP TABLE rolecall.replica_pulses;
