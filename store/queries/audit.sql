-- The audit log: its pages, the entries that products append, and its chains. See migration 00005.
--
-- There is one query for each filter that an index answers: for a single query with all filters,
-- Postgres would make a plan without an index. Empty texts filter nothing.

-- name: AuditPage :many
-- One page of an organization's entries, the newest first, before the given position.
SELECT id, organization_id, actor, action, target, before, after, at, cause, data, seq, prev_hash, hash, impersonator
FROM rolecall.audit_log
WHERE organization_id = @organization_id AND seq <= @through AND at >= @since AND at < @until
    AND (at, seq) < (@before_at::timestamptz, @before_seq::bigint)
ORDER BY at DESC, seq DESC
LIMIT @page_size::integer;

-- name: AuditPageOfTarget :many
SELECT id, organization_id, actor, action, target, before, after, at, cause, data, seq, prev_hash, hash, impersonator
FROM rolecall.audit_log
WHERE organization_id = @organization_id AND target = @target AND seq <= @through AND at >= @since AND at < @until
    AND (at, seq) < (@before_at::timestamptz, @before_seq::bigint)
    AND (@actor::text = '' OR actor = @actor) AND (@action::text = '' OR action = @action)
ORDER BY at DESC, seq DESC
LIMIT @page_size::integer;

-- name: AuditPageOfActor :many
SELECT id, organization_id, actor, action, target, before, after, at, cause, data, seq, prev_hash, hash, impersonator
FROM rolecall.audit_log
WHERE organization_id = @organization_id AND actor = @actor AND seq <= @through AND at >= @since AND at < @until
    AND (at, seq) < (@before_at::timestamptz, @before_seq::bigint)
    AND (@action::text = '' OR action = @action)
ORDER BY at DESC, seq DESC
LIMIT @page_size::integer;

-- name: AuditPageOfAction :many
SELECT id, organization_id, actor, action, target, before, after, at, cause, data, seq, prev_hash, hash, impersonator
FROM rolecall.audit_log
WHERE organization_id = @organization_id AND action = @action AND seq <= @through AND at >= @since AND at < @until
    AND (at, seq) < (@before_at::timestamptz, @before_seq::bigint)
ORDER BY at DESC, seq DESC
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
RETURNING id, organization_id, actor, action, target, before, after, at, cause, data, seq, prev_hash, hash, impersonator;

-- name: EventOfKey :one
SELECT k.request, sqlc.embed(l)
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
    coalesce(after::text, '')::text AS after, coalesce(data::text, '')::text AS data, at, cause, seq, prev_hash, hash, impersonator
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
