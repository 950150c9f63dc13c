-- The processes that run `serve`, and what they measure.

-- name: NoteProcess :exec
INSERT INTO rolecall.processes AS p (id, host_name, pid, version, web, workers, sweeps, started_at, seen_at, clerk_sent, clerk_limit, clerk_paused)
VALUES (@id, @host_name, @pid, @version, @web, @workers, @sweeps, clock_timestamp(), clock_timestamp(), sqlc.narg(clerk_sent), sqlc.narg(clerk_limit), @clerk_paused)
ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at, clerk_sent = excluded.clerk_sent, clerk_limit = excluded.clerk_limit,
    clerk_paused = excluded.clerk_paused;

-- name: ForgetProcess :exec
DELETE FROM rolecall.processes WHERE id = @id;

-- name: PruneProcesses :exec
DELETE FROM rolecall.processes WHERE seen_at < clock_timestamp() - make_interval(secs => @seconds::float8);

-- name: Processes :many
SELECT p.id, p.host_name, p.pid, p.version, p.web, p.workers, p.sweeps, p.started_at, p.seen_at, p.clerk_sent, p.clerk_limit, p.clerk_paused,
    EXISTS (SELECT FROM rolecall.river_leader l WHERE l.leader_id = p.id AND l.expires_at > clock_timestamp()) AS leads
FROM rolecall.processes p ORDER BY p.started_at, p.id;

-- name: AddMeasurement :exec
-- Adds to the current minute of a process. Counters of a side that the process doesn't have are null.
INSERT INTO rolecall.measurements AS m (minute, process_id, accepted, questions, refused, applied, longest_us, waits)
VALUES (date_trunc('minute', clock_timestamp()), @process_id, sqlc.narg(accepted), sqlc.narg(questions), sqlc.narg(refused),
    sqlc.narg(applied), sqlc.narg(longest_us), @waits::bigint[])
ON CONFLICT (minute, process_id) DO UPDATE
SET accepted = m.accepted + excluded.accepted, questions = m.questions + excluded.questions, refused = m.refused + excluded.refused,
    applied = m.applied + excluded.applied, longest_us = greatest(m.longest_us, excluded.longest_us),
    waits = ARRAY(SELECT count + excluded.waits[place] FROM unnest(m.waits) WITH ORDINALITY AS known (count, place) ORDER BY place);

-- name: Measurements :many
SELECT minute, accepted, questions, refused, applied, longest_us, waits FROM rolecall.measurements
WHERE minute >= @since::timestamptz ORDER BY minute;

-- name: PruneMeasurements :exec
DELETE FROM rolecall.measurements WHERE ctid = ANY (ARRAY(
    SELECT m.ctid FROM rolecall.measurements m WHERE m.minute < clock_timestamp() - make_interval(secs => @seconds::float8) LIMIT @batch::integer
));
