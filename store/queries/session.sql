-- Sessions that have ended. Standings and UserStatus look them up.

-- name: EndSessions :exec
-- Records the ends of sessions, in the order of ids. The end of a session is final, and counts from
-- when it became known first.
INSERT INTO rolecall.ended_sessions (id)
SELECT id FROM unnest(@ids::text[]) AS id ORDER BY id
ON CONFLICT (id) DO NOTHING;

-- name: SessionsEnded :one
-- Whether any end of a session is known, and how many deliveries came within a day, up to a number.
SELECT EXISTS (SELECT FROM rolecall.ended_sessions)::boolean AS ended,
    (SELECT count(*) FROM (
        SELECT FROM rolecall.deliveries WHERE received_at > clock_timestamp() - interval '1 day' LIMIT @enough::integer
    ) recent)::bigint AS deliveries;

-- name: PruneSessions :execrows
-- Forgets sessions whose tokens have all expired. A token of a session lives for 24 hours at most
-- (package auth); the other hour is for clocks that differ.
DELETE FROM rolecall.ended_sessions
WHERE id IN (
    SELECT old.id FROM rolecall.ended_sessions old
    WHERE old.ended_at < clock_timestamp() - interval '25 hours'
    ORDER BY old.ended_at LIMIT @batch::integer FOR UPDATE SKIP LOCKED
);
