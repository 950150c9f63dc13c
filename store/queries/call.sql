-- The calls to Clerk that the processes share.

-- name: LockClerkPace :exec
-- Leases are made one after the other. The next statement of the pipeline then sees all earlier ones.
SELECT FROM rolecall.clerk_pace FOR UPDATE;

-- name: LeaseClerkCalls :one
-- Replaces what the client told before, and grants it calls if enough are left. Everything is dated by the database's clock, and
-- a call never too early: its age is from before the statement was sent. What is dated further ahead than anything may be is of a
-- clock that has been set back since, and doesn't count: otherwise no call would be left until the clock is there again.
WITH given AS MATERIALIZED (
    SELECT @client::bigint AS client, @turn::bigint AS turn, @counted::float8 AS counted, @lasts::float8 AS lasts, @held::bigint AS held,
        @purpose::integer AS purpose, @least::bigint AS least, @want::bigint AS want, @most::bigint AS most,
        @background_rate::float8 AS background_rate, @background_burst::float8 AS background_burst, @strangers_rate::float8 AS strangers_rate,
        @strangers_burst::float8 AS strangers_burst, @charged_rate::float8 AS charged_rate, @charged_burst::float8 AS charged_burst
), pace AS MATERIALIZED (
    SELECT t.now, make_interval(secs => given.counted) AS counted,
        CASE WHEN p.background_due <= t.now + make_interval(secs => (given.background_burst + given.charged_burst) / given.background_rate + 3 * given.counted)
            THEN p.background_due ELSE t.now END AS background_due, -- it also pays for interactive calls
        CASE WHEN p.strangers_due <= t.now + make_interval(secs => given.strangers_burst / given.strangers_rate + 3 * given.counted)
            THEN p.strangers_due ELSE t.now END AS strangers_due,
        CASE WHEN p.charged_due <= t.now + make_interval(secs => given.charged_burst / given.charged_rate + 3 * given.counted)
            THEN p.charged_due ELSE t.now END AS charged_due
    FROM given, rolecall.clerk_pace p, (SELECT clock_timestamp() AS now) t LIMIT 1 -- as the planner can't know
), told AS MATERIALIZED (
    SELECT t.purpose, pace.now + make_interval(secs => t.seconds) AS until
    FROM pace, (SELECT unnest(@paused_purposes::integer[]) AS purpose, unnest(@paused_seconds::float8[]) AS seconds) t
), pauses AS MATERIALIZED (
    SELECT p.purpose, max(p.until) AS until
    FROM (SELECT k.purpose, k.until FROM rolecall.clerk_pauses k UNION ALL SELECT told.purpose, told.until FROM told) p, pace
    WHERE p.until > pace.now AND p.until <= pace.now + interval '1 minute' GROUP BY p.purpose -- no pause is longer
), own AS MATERIALIZED (
    SELECT s.calls, pace.now - make_interval(secs => s.age) AS at
    FROM pace, (SELECT unnest(@ages::float8[]) AS age, unnest(@sent::bigint[]) AS calls) s
), counted AS MATERIALIZED (
    SELECT own.at + pace.counted AS until, own.calls FROM own, pace
    UNION ALL
    SELECT pace.now + make_interval(secs => given.lasts) + pace.counted, given.held FROM given, pace
    UNION ALL
    SELECT s.at + pace.counted, s.calls
    FROM pace, (SELECT unnest(c.sent_at) AS at, unnest(c.sent) AS calls FROM given, rolecall.clerk_calls c WHERE c.client <> given.client) s
    UNION ALL
    SELECT c.held_until + pace.counted, c.held FROM given, pace, rolecall.clerk_calls c WHERE c.client <> given.client
), total AS MATERIALIZED (
    SELECT coalesce(sum(c.calls), 0)::bigint AS used FROM counted c, pace
    WHERE c.until > pace.now AND c.until <= pace.now + 3 * pace.counted
), pausing AS MATERIALIZED (
    SELECT coalesce(bool_or(p.purpose = given.purpose), false) AS own,
        coalesce(array_agg(p.purpose ORDER BY p.purpose), '{}')::integer[] AS purposes,
        coalesce(array_agg(extract(epoch FROM p.until - pace.now) ORDER BY p.purpose), '{}')::float8[] AS seconds
    FROM pauses p, given, pace
), place AS MATERIALIZED (
    SELECT pace.now, pace.counted, pace.background_due, pace.strangers_due, pace.charged_due, total.used,
        pausing.own AS pauses,
        (CASE given.purpose
            WHEN 0 THEN given.background_burst - greatest(0, extract(epoch FROM pace.background_due - pace.now)) * given.background_rate
            WHEN 1 THEN given.strangers_burst - greatest(0, extract(epoch FROM pace.strangers_due - pace.now)) * given.strangers_rate
            ELSE given.want
        END)::float8 AS tokens,
        (given.charged_burst - greatest(0, extract(epoch FROM pace.charged_due - pace.now)) * given.charged_rate)::float8 AS chargeable
    FROM given, pace, total, pausing
), freed AS MATERIALIZED (
    SELECT c.until, sum(c.calls) OVER (ORDER BY c.until) AS calls FROM counted c, pace
    WHERE c.until > pace.now AND c.until <= pace.now + 3 * pace.counted
), lease AS MATERIALIZED (
    SELECT place.now, place.background_due, place.strangers_due, place.charged_due, place.used, place.tokens, place.chargeable, (CASE
        WHEN place.pauses OR least(given.want, given.most - place.used, floor(place.tokens + 1e-6)) < greatest(1, given.least) THEN 0
        ELSE least(given.want, given.most - place.used, floor(place.tokens + 1e-6))
    END)::bigint AS granted
    FROM given, place
), room AS MATERIALIZED (
    SELECT min(f.until) AS at FROM given, freed f, lease WHERE f.calls >= lease.used + given.least - given.most
), noted AS (
    INSERT INTO rolecall.clerk_calls AS c (client, turn, sent_at, sent, held, held_until)
    SELECT given.client, given.turn, ARRAY(SELECT own.at FROM own ORDER BY own.at), ARRAY(SELECT own.calls FROM own ORDER BY own.at),
        given.held + lease.granted, lease.now + make_interval(secs => given.lasts)
    FROM given, lease
    ON CONFLICT (client) DO UPDATE SET turn = excluded.turn, sent_at = excluded.sent_at, sent = excluded.sent, held = excluded.held,
        held_until = excluded.held_until
    WHERE c.turn < excluded.turn
    RETURNING c.client
), paced AS (
    UPDATE rolecall.clerk_pace p SET
        background_due = CASE
            WHEN lease.granted > 0 AND (given.purpose = 0 OR lease.chargeable >= lease.granted)
            THEN greatest(lease.background_due, lease.now) + make_interval(secs => lease.granted / given.background_rate)
            ELSE lease.background_due
        END,
        strangers_due = CASE
            WHEN lease.granted > 0 AND given.purpose = 1
            THEN greatest(lease.strangers_due, lease.now) + make_interval(secs => lease.granted / given.strangers_rate)
            ELSE lease.strangers_due
        END,
        charged_due = CASE
            WHEN lease.granted > 0 AND given.purpose > 0 AND lease.chargeable >= lease.granted
            THEN greatest(lease.charged_due, lease.now) + make_interval(secs => lease.granted / given.charged_rate)
            ELSE lease.charged_due
        END
    FROM given, lease
    WHERE lease.granted > 0
), paused AS (
    INSERT INTO rolecall.clerk_pauses AS k (purpose, until) SELECT told.purpose, told.until FROM told
    ON CONFLICT (purpose) DO UPDATE SET until = CASE
        WHEN k.until <= clock_timestamp() + interval '1 minute' THEN greatest(k.until, excluded.until) ELSE excluded.until
    END
), forgotten AS (
    DELETE FROM rolecall.clerk_calls c USING given, pace
    WHERE c.client <> given.client AND (c.held_until + pace.counted < pace.now OR c.held_until > pace.now + 2 * pace.counted)
)
SELECT lease.granted, lease.used, EXISTS (SELECT FROM noted)::boolean AS noted,
    (CASE WHEN lease.granted > 0 OR given.least < 1 THEN 0 ELSE greatest(
        (given.least - lease.tokens) / CASE given.purpose WHEN 0 THEN given.background_rate WHEN 1 THEN given.strangers_rate ELSE 1 END,
        CASE WHEN lease.used + given.least > given.most
            THEN coalesce(extract(epoch FROM room.at - lease.now), given.counted)
        END
    ) END)::float8 AS wait_seconds,
    pausing.purposes::integer[] AS paused_purposes, pausing.seconds::float8[] AS paused_seconds
FROM given, lease, room, pausing;

-- name: ClerkCallsCounted :one
-- How many calls of all clients count now.
SELECT coalesce(sum(s.calls) FILTER (
    WHERE s.until > clock_timestamp() AND s.until <= clock_timestamp() + make_interval(secs => 3 * @counted::float8)
), 0)::bigint AS calls
FROM (
    SELECT unnest(c.sent) AS calls, unnest(c.sent_at) + make_interval(secs => @counted::float8) AS until FROM rolecall.clerk_calls c
    UNION ALL
    SELECT c.held, c.held_until + make_interval(secs => @counted::float8) FROM rolecall.clerk_calls c
) s;
