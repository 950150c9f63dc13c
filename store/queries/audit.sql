-- The audit log: its pages, the entries that products append, and its chains. See migration 00005.
--
-- There is one query for each filter that an index answers: for a single query with all filters,
-- Postgres would make a plan without an index. Empty texts filter nothing.

-- name: AuditPage :many
-- One page of an organization's entries, the newest first, before the given position.
SELECT id, organization_id, actor, action, target, before, after, at, cause, data, seq, prev_hash, hash, impersonator, erased_by
FROM rolecall.audit_log
WHERE organization_id = @organization_id AND seq <= @through AND at >= @since AND at < @until
    AND (at, seq) < (@before_at::timestamptz, @before_seq::bigint)
ORDER BY at DESC, seq DESC
LIMIT @page_size::integer;

-- name: AuditPageOfTarget :many
SELECT id, organization_id, actor, action, target, before, after, at, cause, data, seq, prev_hash, hash, impersonator, erased_by
FROM rolecall.audit_log
WHERE organization_id = @organization_id AND target = @target AND seq <= @through AND at >= @since AND at < @until
    AND (at, seq) < (@before_at::timestamptz, @before_seq::bigint)
    AND (@actor::text = '' OR actor = @actor) AND (@action::text = '' OR action = @action)
ORDER BY at DESC, seq DESC
LIMIT @page_size::integer;

-- name: AuditPageOfActor :many
SELECT id, organization_id, actor, action, target, before, after, at, cause, data, seq, prev_hash, hash, impersonator, erased_by
FROM rolecall.audit_log
WHERE organization_id = @organization_id AND actor = @actor AND seq <= @through AND at >= @since AND at < @until
    AND (at, seq) < (@before_at::timestamptz, @before_seq::bigint)
    AND (@action::text = '' OR action = @action)
ORDER BY at DESC, seq DESC
LIMIT @page_size::integer;

-- name: AuditPageOfAction :many
SELECT id, organization_id, actor, action, target, before, after, at, cause, data, seq, prev_hash, hash, impersonator, erased_by
FROM rolecall.audit_log
WHERE organization_id = @organization_id AND action = @action AND seq <= @through AND at >= @since AND at < @until
    AND (at, seq) < (@before_at::timestamptz, @before_seq::bigint)
ORDER BY at DESC, seq DESC
LIMIT @page_size::integer;

-- name: AuditPageOfAll :many
-- One page of the entries of all organizations, the newest first, before the given id.
SELECT id, organization_id, actor, action, target, before, after, at, cause, data, seq, prev_hash, hash, impersonator, erased_by
FROM rolecall.audit_log
WHERE id < @before_id AND at >= @since AND at < @until
    AND (@actor::text = '' OR actor = @actor) AND (@action::text = '' OR action = @action) AND (@target::text = '' OR target = @target)
ORDER BY id DESC
LIMIT @page_size::integer;

-- name: AuditArrivals :many
-- Entries after the given id, in the order of their ids. A later entry may be committed first.
SELECT id, organization_id, actor, action, target, before, after, at, cause, data, seq, prev_hash, hash, impersonator, erased_by
FROM rolecall.audit_log
WHERE id > @after_id AND (@organization_id::text = '' OR organization_id = @organization_id)
    AND (@actor::text = '' OR actor = @actor) AND (@action::text = '' OR action = @action) AND (@target::text = '' OR target = @target)
ORDER BY id
LIMIT @page_size::integer;

-- name: AppendEvent :many
-- Appends an entry. If the key was used before, it appends nothing and returns no row. The trigger
-- chains the entry. The entry's id is drawn first, because it is kept with the key.
WITH drawn AS (
    SELECT nextval('rolecall.audit_log_id_seq') AS id
), kept AS (
    INSERT INTO rolecall.audit_keys (key, request, entry_id)
    SELECT @key, @request, id FROM drawn WHERE @key::bytea IS NOT NULL
    ON CONFLICT (key) DO NOTHING
    RETURNING entry_id
)
INSERT INTO rolecall.audit_log (id, organization_id, actor, action, target, data, at, cause, impersonator)
OVERRIDING SYSTEM VALUE
SELECT drawn.id, @organization_id, @actor, @action, @target, @data, coalesce(sqlc.narg('at')::timestamptz, clock_timestamp()), @cause,
    sqlc.narg('impersonator')
FROM drawn WHERE @key IS NULL OR EXISTS (SELECT FROM kept)
RETURNING id, organization_id, actor, action, target, before, after, at, cause, data, seq, prev_hash, hash, impersonator, erased_by;

-- name: EventOfKey :one
-- Its commit waits for the synchronous standby, as that of KnownDigests.
SELECT k.request, sqlc.embed(l),
    ((SELECT CASE WHEN current_setting('synchronous_standby_names') <> '' THEN pg_logical_emit_message(true, 'rolecall'::text, ''::text) END) IS NOT NULL)::boolean AS waits
FROM rolecall.audit_keys k
JOIN rolecall.audit_log l ON l.id = k.entry_id
WHERE k.key = @key::bytea;

-- name: NextChain :one
-- The first organization after the given one that has entries or a head. The organization '' is the
-- very first.
SELECT organization_id::text AS organization_id FROM (
    (SELECT l.organization_id FROM rolecall.audit_log l WHERE l.organization_id > @after ORDER BY l.organization_id LIMIT 1)
    UNION ALL
    (SELECT h.organization_id FROM rolecall.audit_heads h WHERE h.organization_id > @after ORDER BY h.organization_id LIMIT 1)
) next
ORDER BY organization_id LIMIT 1;

-- name: ChainHead :one
SELECT seq, hash FROM rolecall.audit_heads WHERE organization_id = @organization_id;

-- name: ChainLinks :many
-- Entries of a chain as they stand, beginning with the given position. A position has the id beside
-- the number, because a forger may have used a number twice. JSON is returned as its stored text:
-- pgx would drop the spaces around it, and can't tell null from the JSON null. '' is no JSON, so it
-- stands for null.
SELECT id, organization_id, actor, action, target, coalesce(before::text, '')::text AS before,
    coalesce(after::text, '')::text AS after, coalesce(data::text, '')::text AS data, at, cause, seq, prev_hash, hash, impersonator, erased_by
FROM rolecall.audit_log
WHERE organization_id = @organization_id AND (seq, id) >= (@from_seq::bigint, @from_id::bigint)
ORDER BY seq, id
LIMIT @page_size::integer;

-- name: Neighbours :one
-- Numbers of two entries, 0 for none: of the one that claims to follow the entry with the first
-- hash, and of the one that has the second hash.
SELECT coalesce(min(seq) FILTER (WHERE prev_hash = @followed), 0)::bigint AS follower,
    coalesce(min(seq) FILTER (WHERE hash = @hash), 0)::bigint AS bearer
FROM rolecall.audit_log WHERE organization_id = @organization_id;

-- name: ReviewEntries :many
-- The entries of the given actions up to an instant, chain by chain, in the order in which things
-- happened.
SELECT organization_id, seq, actor, action, target, before, after, at, cause
FROM rolecall.audit_log
WHERE (organization_id, at, seq) > (@after_organization::text, @after_at::timestamptz, @after_seq::bigint)
    AND at <= @through::timestamptz AND action = ANY (@actions::text[])
ORDER BY organization_id, at, seq
LIMIT @page_size::integer;

-- name: ReviewEntriesOf :many
-- The same of one chain. It reads each action's entries by their index, and not what a product
-- recorded between them.
SELECT l.seq, l.actor, l.action, l.target, l.before, l.after, l.at, l.cause
FROM unnest(@actions::text[]) AS reviewed (action)
CROSS JOIN LATERAL (
    SELECT a.seq, a.actor, a.action, a.target, a.before, a.after, a.at, a.cause
    FROM rolecall.audit_log a
    WHERE a.organization_id = @organization_id AND a.action = reviewed.action AND a.at <= @through::timestamptz
        AND (a.at, a.seq) > (@after_at::timestamptz, @after_seq::bigint)
    ORDER BY a.at, a.seq
    LIMIT @page_size::integer
) l
ORDER BY l.at, l.seq
LIMIT @page_size;

-- name: CountReviewEntries :one
-- How many entries of one chain ReviewEntriesOf reads; it counts at most so many of each action.
SELECT coalesce(sum(l.entries), 0)::bigint AS entries
FROM unnest(@actions::text[]) AS reviewed (action)
CROSS JOIN LATERAL (
    SELECT count(*) AS entries
    FROM (
        SELECT FROM rolecall.audit_log a
        WHERE a.organization_id = @organization_id AND a.action = reviewed.action AND a.at <= @through::timestamptz
        LIMIT @most::integer
    ) counted
) l;

-- name: ReviewEntriesAbout :many
-- The entries of the given actions about the given targets in the instance's chain, target by target, in the order in which things
-- happened. Each target is looked up by its index: the chain has entries about all users.
SELECT seq, actor, action, target, before, after, at, cause
FROM rolecall.audit_log
WHERE organization_id = '' AND target = ANY (@targets::text[]) AND action = ANY (@actions::text[]) AND at <= @through::timestamptz
    AND (target, at, seq) > (@after_target::text, @after_at::timestamptz, @after_seq::bigint)
ORDER BY target, at, seq
LIMIT @page_size::integer;

-- name: BodiesOf :many
-- The bodies of the given deliveries that are still kept.
SELECT svix_id, body::text AS body FROM rolecall.deliveries WHERE svix_id = ANY (@svix_ids::text[]) AND body IS NOT NULL;
