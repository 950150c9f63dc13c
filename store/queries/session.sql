-- Sessions that have ended. Standings and UserStatus look them up.

-- name: EndSessions :exec
-- Records the ends of sessions, in the order of ids. The end of a session is final, and counts from
-- when it became known first.
INSERT INTO rolecall.ended_sessions (id)
SELECT id FROM unnest(@ids::text[]) AS id ORDER BY id
ON CONFLICT (id) DO NOTHING;

-- name: SessionsEnded :one
-- Whether any end of a session came within a day, and how many deliveries did, up to a number.
SELECT EXISTS (SELECT FROM rolecall.ended_sessions WHERE ended_at > clock_timestamp() - interval '1 day')::boolean AS ended,
    (SELECT count(*) FROM (
        SELECT FROM rolecall.deliveries WHERE received_at > clock_timestamp() - interval '1 day' LIMIT @enough::integer
    ) recent)::bigint AS deliveries;

-- name: PruneSessions :execrows
-- Forgets sessions that no token names any more. A session's own tokens live for 24 hours at most
-- (package auth). But an impersonated session goes on at Clerk, and its new tokens still name the
-- impersonator's session. Clerk lets such a session live for 30 minutes, unless it is asked for
-- more; 8 days are a week, which is how long Clerk's sessions live, and a day for the last token.
DELETE FROM rolecall.ended_sessions
WHERE id IN (
    SELECT old.id FROM rolecall.ended_sessions old
    WHERE old.ended_at < clock_timestamp() - interval '8 days'
    ORDER BY old.ended_at LIMIT @batch::integer FOR UPDATE SKIP LOCKED
);
