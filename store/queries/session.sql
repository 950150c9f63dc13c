-- Sessions that have ended. Standings and UserStatus look them up.

-- name: EndSessions :exec
-- Records the ends of sessions, in the order of ids. The end of a session is final, and counts from
-- when it became known first. '' stands for an unknown user.
INSERT INTO rolecall.ended_sessions (id, user_id)
SELECT e.id, nullif(e.user_id, '') FROM (SELECT unnest(@ids::text[]) AS id, unnest(@user_ids::text[]) AS user_id) e ORDER BY e.id
ON CONFLICT (id) DO NOTHING;

-- name: SessionsEnded :one
-- Whether any end of a session came within a day, and how many deliveries did, up to a number.
SELECT EXISTS (SELECT FROM rolecall.ended_sessions WHERE ended_at > clock_timestamp() - interval '1 day')::boolean AS ended,
    (SELECT count(*) FROM (
        SELECT FROM rolecall.deliveries WHERE received_at > clock_timestamp() - interval '1 day' LIMIT @enough::integer
    ) recent)::bigint AS deliveries;

-- name: PruneSessions :execrows
-- Forgets sessions that ended long ago.
DELETE FROM rolecall.ended_sessions
WHERE id IN (
    SELECT old.id FROM rolecall.ended_sessions old
    WHERE old.ended_at < clock_timestamp() - make_interval(secs => @seconds::float8)
    ORDER BY old.ended_at LIMIT @batch::integer FOR UPDATE SKIP LOCKED
);
