-- The calls to Clerk that the processes share.

-- name: LockClerkPace :exec
-- Leases are made one after the other. The next statement of the pipeline then sees all earlier ones.
SELECT FROM rolecall.clerk_pace FOR UPDATE;

-- name: LeaseClerkCalls :one
-- Replaces what the client told before, and grants it calls if enough are left. Everything is dated by the database's clock, and
-- a call never too early: its age is from before the statement was sent.
WITH pace AS MATERIALIZED (
    SELECT clock_timestamp() AS now, make_interval(secs => @counted::float8) AS counted, p.background_due, p.strangers_due, p.charged_due,
        ARRAY(
            SELECT greatest(known.until, CASE WHEN told.seconds > 0 THEN clock_timestamp() + make_interval(secs => told.seconds) ELSE 'epoch' END)
            FROM unnest(p.paused_until) WITH ORDINALITY AS known (until, purpose)
            FULL JOIN unnest(@paused::float8[]) WITH ORDINALITY AS told (seconds, purpose) ON told.purpose = known.purpose
            ORDER BY coalesce(known.purpose, told.purpose)
        )::timestamptz[] AS paused_until
    FROM rolecall.clerk_pace p
), own AS MATERIALIZED (
    SELECT s.calls, pace.now - make_interval(secs => s.age) AS at
    FROM pace, unnest(@ages::float8[], @sent::bigint[]) AS s (age, calls)
), counted AS MATERIALIZED (
    SELECT own.at + pace.counted AS until, own.calls FROM own, pace
    UNION ALL
    SELECT pace.now + make_interval(secs => @lasts::float8) + pace.counted, @held::bigint FROM pace
    UNION ALL
    SELECT s.at + pace.counted, s.calls FROM pace, rolecall.clerk_calls c, unnest(c.sent_at, c.sent) AS s (at, calls) WHERE c.client <> @client::bigint
    UNION ALL
    SELECT c.held_until + pace.counted, c.held FROM pace, rolecall.clerk_calls c WHERE c.client <> @client::bigint
), place AS MATERIALIZED (
    SELECT pace.*,
        (SELECT coalesce(sum(c.calls), 0) FROM counted c WHERE c.until > pace.now)::bigint AS used,
        coalesce(pace.paused_until[@purpose::integer + 1] > pace.now, false) AS pauses,
        CASE @purpose::integer
            WHEN 0 THEN @background_burst::float8 - greatest(0, extract(epoch FROM pace.background_due - pace.now)) * @background_rate::float8
            WHEN 1 THEN @strangers_burst::float8 - greatest(0, extract(epoch FROM pace.strangers_due - pace.now)) * @strangers_rate::float8
            ELSE @want::bigint
        END AS tokens,
        @charged_burst::float8 - greatest(0, extract(epoch FROM pace.charged_due - pace.now)) * @charged_rate::float8 AS chargeable
    FROM pace
), lease AS MATERIALIZED (
    SELECT place.*, CASE
        WHEN place.pauses OR least(@want::bigint, @most::bigint - place.used, floor(place.tokens + 1e-6)) < greatest(1, @least::bigint) THEN 0
        ELSE least(@want::bigint, @most::bigint - place.used, floor(place.tokens + 1e-6))
    END::bigint AS granted
    FROM place
), noted AS (
    INSERT INTO rolecall.clerk_calls AS c (client, turn, sent_at, sent, held, held_until)
    SELECT @client::bigint, @turn::bigint, ARRAY(SELECT own.at FROM own ORDER BY own.at), ARRAY(SELECT own.calls FROM own ORDER BY own.at),
        @held::bigint + lease.granted, lease.now + make_interval(secs => @lasts::float8)
    FROM lease
    ON CONFLICT (client) DO UPDATE SET turn = excluded.turn, sent_at = excluded.sent_at, sent = excluded.sent, held = excluded.held,
        held_until = excluded.held_until
    WHERE c.turn < excluded.turn
    RETURNING c.client
), paced AS (
    UPDATE rolecall.clerk_pace p SET paused_until = lease.paused_until,
        background_due = CASE
            WHEN lease.granted > 0 AND (@purpose::integer = 0 OR lease.chargeable >= lease.granted)
            THEN greatest(lease.background_due, lease.now) + make_interval(secs => lease.granted / @background_rate::float8)
            ELSE lease.background_due
        END,
        strangers_due = CASE
            WHEN lease.granted > 0 AND @purpose::integer = 1
            THEN greatest(lease.strangers_due, lease.now) + make_interval(secs => lease.granted / @strangers_rate::float8)
            ELSE lease.strangers_due
        END,
        charged_due = CASE
            WHEN lease.granted > 0 AND @purpose::integer > 0 AND lease.chargeable >= lease.granted
            THEN greatest(lease.charged_due, lease.now) + make_interval(secs => lease.granted / @charged_rate::float8)
            ELSE lease.charged_due
        END
    FROM lease
    WHERE lease.granted > 0 OR lease.paused_until IS DISTINCT FROM p.paused_until
), forgotten AS (
    DELETE FROM rolecall.clerk_calls c USING pace WHERE c.client <> @client::bigint AND c.held_until + pace.counted < pace.now
)
SELECT lease.granted, lease.used, EXISTS (SELECT FROM noted)::boolean AS noted,
    (CASE WHEN lease.granted > 0 OR @least::bigint < 1 THEN 0 ELSE greatest(
        (@least::bigint - lease.tokens) / CASE @purpose::integer WHEN 0 THEN @background_rate::float8 WHEN 1 THEN @strangers_rate::float8 ELSE 1 END,
        CASE WHEN lease.used + @least::bigint > @most::bigint THEN coalesce((
            SELECT extract(epoch FROM min(ends.until) - lease.now) FROM (
                SELECT c.until, sum(c.calls) OVER (ORDER BY c.until) AS freed FROM counted c WHERE c.until > lease.now
            ) ends WHERE ends.freed >= lease.used + @least::bigint - @most::bigint
        ), @counted::float8) END
    ) END)::float8 AS wait_seconds,
    ARRAY(
        SELECT greatest(0, extract(epoch FROM p.until - lease.now)) FROM unnest(lease.paused_until) WITH ORDINALITY AS p (until, purpose) ORDER BY p.purpose
    )::float8[] AS paused_seconds
FROM lease;

-- name: ClerkCallsCounted :one
-- How many calls of all clients count now.
SELECT coalesce(sum(s.calls) FILTER (WHERE s.until > clock_timestamp()), 0)::bigint AS calls
FROM (
    SELECT unnest(c.sent) AS calls, unnest(c.sent_at) + make_interval(secs => @counted::float8) AS until FROM rolecall.clerk_calls c
    UNION ALL
    SELECT c.held, c.held_until + make_interval(secs => @counted::float8) FROM rolecall.clerk_calls c
) s;
