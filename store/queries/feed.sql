-- The change feed: see migration 00053.

-- name: LockFeed :one
-- Lets one writer at a time give numbers. There is no row while another one does.
SELECT f.number, f.history, f.old_through, f.old_chain, f.old_seq, rolecall.current_history()::uuid AS current
FROM rolecall.feed f
FOR UPDATE SKIP LOCKED;

-- name: PublishChanges :one
-- Numbers what the oldest statements added, so many entries give or take one statement's. It must see what was committed before the
-- lock was taken, so it is a statement of its own. now() is when the transaction began: before this statement's snapshot.
WITH next AS (
    SELECT u.id, sum(cardinality(u.entry_ids)) OVER (ORDER BY u.id) - cardinality(u.entry_ids) AS before
    FROM (
        SELECT id, entry_ids FROM rolecall.unpublished
        WHERE id >= (SELECT f.unpublished_from FROM rolecall.feed f)
        ORDER BY id
        LIMIT @statements::integer
    ) u
), taken AS (
    DELETE FROM rolecall.unpublished
    WHERE id IN (SELECT n.id FROM next n WHERE n.before < @most_entries::bigint)
    RETURNING id, entry_ids, recorded_at
), entries AS (
    SELECT l.id, l.organization_id, row_number() OVER (ORDER BY t.id, e.place) AS place
    FROM taken t
    CROSS JOIN LATERAL unnest(t.entry_ids) WITH ORDINALITY AS e (id, place)
    JOIN rolecall.audit_log l ON l.id = e.id
), published AS (
    INSERT INTO rolecall.changes (number, entry_id, organization_id, revision, published_at, complete_before)
    SELECT f.number + e.place, e.id, e.organization_id,
        CASE WHEN e.organization_id = '' THEN 0 ELSE coalesce(own.revision, 0) + coalesce(shared.revision, 0) END, now(), f.complete_until
    FROM entries e
    CROSS JOIN rolecall.feed f
    LEFT JOIN rolecall.revisions own ON own.organization_id = e.organization_id
    LEFT JOIN rolecall.revisions shared ON shared.organization_id = ''
    ON CONFLICT (entry_id) DO NOTHING
    RETURNING number
), ends AS (
    SELECT whole, whole AND pg_snapshot_xmin(pg_current_snapshot())::text::bigint >= drawn_before AS ended, drawn_before
    FROM (
        SELECT (SELECT count(*) FROM next) < @statements AND (SELECT count(*) FROM next) = (SELECT count(*) FROM taken) AS whole,
            least(f.drawn_before, pg_current_xact_id()::text::bigint) AS drawn_before -- a restored dump has transactions of another server
        FROM rolecall.feed f
    ) now
), moved AS (
    UPDATE rolecall.feed
    SET number = number + (SELECT count(*) FROM entries),
        published_at = CASE WHEN EXISTS (SELECT FROM entries) THEN now() ELSE published_at END,
        complete_until = CASE WHEN ends.whole THEN greatest(complete_until, now()) ELSE complete_until END,
        unpublished_from = CASE WHEN ends.ended THEN drawn ELSE unpublished_from END,
        drawn = CASE WHEN ends.ended THEN greatest(drawn, (SELECT max(t.id) FROM taken t)) ELSE drawn END,
        drawn_before = CASE WHEN NOT ends.ended THEN ends.drawn_before END
    FROM ends
    RETURNING number, published_at
)
SELECT m.number, m.published_at, (SELECT count(*) FROM published)::bigint AS changes, (SELECT NOT e.whole FROM ends e)::boolean AS more,
    extract(epoch FROM clock_timestamp() - coalesce((SELECT min(t.recorded_at) FROM taken t), clock_timestamp()))::float8 AS waited
FROM moved m;

-- name: PublishOldEntries :one
-- Numbers the next entries of a chain that are older than the feed.
WITH entries AS (
    SELECT page.id, page.seq, row_number() OVER (ORDER BY page.seq) AS place
    FROM (
        SELECT l.id, l.seq FROM rolecall.audit_log l
        WHERE l.organization_id = @organization_id::text AND l.seq > @after_seq::bigint AND l.id <= @through::bigint
            AND rolecall.in_feed(l.action, l.target)
        ORDER BY l.seq
        LIMIT @page_size::integer
    ) page
), published AS (
    INSERT INTO rolecall.changes (number, entry_id, organization_id, revision, published_at, complete_before)
    SELECT e.place + @after_number::bigint, e.id, @organization_id,
        CASE WHEN @organization_id = '' THEN 0 ELSE coalesce((SELECT sum(r.revision) FROM rolecall.revisions r
            WHERE r.organization_id IN (@organization_id, '')), 0)::bigint END, now(), 'epoch'
    FROM entries e
    ON CONFLICT (entry_id) DO NOTHING
)
SELECT count(*) AS places, coalesce(max(seq), @after_seq)::bigint AS reached FROM entries;

-- name: NextOldChain :one
SELECT organization_id FROM rolecall.audit_heads WHERE organization_id > @after ORDER BY organization_id LIMIT 1;

-- name: MoveOld :one
-- Notes how far old entries have their numbers.
UPDATE rolecall.feed
SET published_at = CASE WHEN number = @number THEN published_at ELSE now() END, number = @number, old_through = sqlc.narg('old_through'), old_chain = sqlc.narg('old_chain'), old_seq = @old_seq
RETURNING number, published_at;

-- name: LockFeedHistory :one
-- The history under which numbers are given, and that of this server: null if nobody has noted it yet.
SELECT f.history, rolecall.current_history()::uuid AS current FROM rolecall.feed f FOR UPDATE;

-- name: EndHistory :exec
-- Notes where the numbers of the history end that is being left.
INSERT INTO rolecall.feed_histories AS h (history, through)
SELECT history, number FROM rolecall.feed WHERE history IS NOT NULL
ON CONFLICT (history) DO UPDATE SET through = least(h.through, excluded.through);

-- name: BeginHistory :exec
-- A failover may have lost cuts whose numbers places of the history before have. No later cut gets one of these numbers.
UPDATE rolecall.feed SET history = @history, complete_until = least(complete_until, now()), cuts = cuts + 1000000;

-- name: FeedProgress :one
-- The last number, and whether something waits for one.
SELECT f.number, f.published_at, (f.old_through IS NOT NULL OR EXISTS (SELECT FROM rolecall.first_unpublished))::boolean AS waiting FROM rolecall.feed f;

-- name: ChangedSince :one
SELECT EXISTS (SELECT FROM rolecall.changes c WHERE c.number = @after_number AND c.published_at = @published_at) AS follows,
    ARRAY(SELECT DISTINCT p.organization_id
        FROM (SELECT c.organization_id FROM rolecall.changes c WHERE c.number > @after_number AND c.number <= @through::bigint ORDER BY c.number LIMIT 3000) p
    )::text[] AS organization_ids;

-- name: UnpublishedSince :one
-- When the change was recorded that has waited longest for its number.
SELECT recorded_at FROM rolecall.first_unpublished;

-- name: FeedState :one
-- How far the feed is, and whether a consumer's place in it still counts: its number must be of a history that is a part of this one,
-- must not be another change's, and nothing after it may have been cut since.
SELECT f.number, f.published_at, f.history, f.cuts, late.unpublished::boolean AS unpublished,
    (CASE WHEN late.unpublished THEN f.complete_until ELSE now() END)::timestamptz AS complete_until,
    coalesce((f.history = @history::uuid AND f.number >= @number::bigint
            OR EXISTS (SELECT FROM rolecall.feed_histories h WHERE h.history = @history AND h.through >= @number))
        AND NOT EXISTS (SELECT FROM rolecall.changes c WHERE c.number = @number AND c.published_at <> @published_at::timestamptz)
        AND NOT EXISTS (SELECT FROM rolecall.feed_cuts k WHERE k.cut > @cut::bigint AND k.through > @number), false
    )::boolean AS counts
FROM rolecall.feed f
CROSS JOIN LATERAL (SELECT f.old_through IS NOT NULL OR EXISTS (SELECT FROM rolecall.first_unpublished) AS unpublished) late;

-- name: ChangesOfAll :many
SELECT c.number, c.revision, c.published_at, c.complete_before, sqlc.embed(l)
FROM rolecall.changes c
JOIN rolecall.audit_log l ON l.id = c.entry_id
WHERE c.number > @after_number
ORDER BY c.number
LIMIT @page_size::integer;

-- name: ChangesOf :many
-- Those of some chains. Each is read by its index, however many others have.
SELECT c.number, c.revision, c.published_at, c.complete_before, sqlc.embed(l)
FROM (
    SELECT next.number, next.entry_id, next.revision, next.published_at, next.complete_before
    FROM unnest(@organization_ids::text[]) AS chain (organization_id)
    CROSS JOIN LATERAL (
        SELECT o.number, o.entry_id, o.revision, o.published_at, o.complete_before
        FROM rolecall.changes o
        WHERE o.organization_id = chain.organization_id AND o.number > @after_number
        ORDER BY o.number
        LIMIT @page_size::integer
    ) next
    ORDER BY next.number
    LIMIT @page_size
) c
JOIN rolecall.audit_log l ON l.id = c.entry_id
ORDER BY c.number;

-- name: NewestOfAll :one
-- The change before the newest ones.
SELECT number, published_at FROM rolecall.changes ORDER BY number DESC LIMIT 1 OFFSET @newest::integer;

-- name: NewestOf :one
-- The change of some chains before their newest ones.
SELECT own.number, own.published_at
FROM unnest(@organization_ids::text[]) AS chain (organization_id)
CROSS JOIN LATERAL (
    SELECT o.number, o.published_at
    FROM rolecall.changes o
    WHERE o.organization_id = chain.organization_id
    ORDER BY o.number DESC
    LIMIT 1 + @newest::integer
) own
ORDER BY own.number DESC
LIMIT 1 OFFSET @newest::integer;
