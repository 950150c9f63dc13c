-- The erasure of a person. See jobs/erasure.go for the order.

-- name: ErasableUser :one
SELECT identifier, first_name, last_name, image_url, (deleted_at IS NOT NULL)::boolean AS gone, erased
FROM rolecall.users WHERE id = @user_id;

-- name: ErasableInvitation :one
-- An invitation; whether one to its address waits for an answer; and the user who accepted it, or
-- has its address.
SELECT i.email, EXISTS (
        SELECT FROM rolecall.invitations p
        WHERE (p.id = i.id OR i.email <> '' AND lower(p.email) = lower(i.email))
            AND p.status = 'pending' AND p.deleted_at IS NULL AND (p.expires_at IS NULL OR p.expires_at > clock_timestamp())
            AND NOT EXISTS (SELECT FROM rolecall.organizations o WHERE o.id = p.organization_id AND o.deleted_at IS NOT NULL)) AS pending,
    coalesce(i.user_id, (SELECT u.id FROM rolecall.users u WHERE i.email <> '' AND lower(u.identifier) = lower(i.email) ORDER BY u.id LIMIT 1), '')::text AS user_id
FROM rolecall.invitations i WHERE i.id = @id;

-- name: MembershipsOfUser :many
SELECT id, organization_id, public_metadata FROM rolecall.memberships WHERE user_id = @user_id ORDER BY id;

-- name: InvitationsOfPerson :many
-- The one with the id, those that the user accepted, and those to one of the addresses, in lower
-- case.
SELECT id, email FROM rolecall.invitations
WHERE id = @id::text OR user_id = @id OR lower(email) = ANY (@addresses::text[])
ORDER BY id;

-- name: BodiesNaming :many
-- Deliveries after the given position whose bodies may name the person: by ids as they are, by
-- texts in lower case, or by what may be escaped or has another lower case here, which is read in Go.
-- No index helps: it reads all bodies that are kept.
SELECT d.svix_id, d.received_at, d.state, d.body::text AS body
FROM rolecall.deliveries d
WHERE d.body IS NOT NULL AND (d.received_at, d.svix_id) > (@after_at::timestamptz, @after_id::text)
    AND (EXISTS (SELECT FROM unnest(@ids::text[]) AS t (id) WHERE strpos(d.body, t.id) > 0)
        OR EXISTS (SELECT FROM unnest(@texts::text[]) AS t (said) WHERE strpos(lower(d.body), t.said) > 0)
        OR strpos(d.body, '\u') > 0 OR @escaped::boolean AND octet_length(d.body) <> length(d.body))
ORDER BY d.received_at, d.svix_id
LIMIT @page_size::integer;

-- name: EraseBodies :execrows
-- A delivery that waits keeps its body until it is applied.
UPDATE rolecall.deliveries SET body = NULL WHERE svix_id = ANY (@svix_ids::text[]) AND state <> 'received';

-- name: FailuresNaming :many
SELECT svix_id, last_error FROM rolecall.deliveries
WHERE last_error <> '' AND EXISTS (SELECT FROM unnest(@texts::text[]) AS t (said) WHERE strpos(lower(last_error), t.said) > 0);

-- name: EraseFailure :exec
UPDATE rolecall.deliveries SET last_error = @last_error WHERE svix_id = @svix_id;

-- name: CommandsNaming :many
-- They stay locked: an answer that comes meanwhile must not be overwritten.
SELECT id, outcome, answer FROM rolecall.commands c
WHERE target = ANY (@ids::text[]) OR actor = ANY (@ids)
    OR EXISTS (SELECT FROM unnest(@ids) AS t (id) WHERE strpos(c.answer::text, t.id) > 0)
    OR EXISTS (SELECT FROM unnest(@texts::text[]) AS t (said) WHERE strpos(lower(c.outcome || ' ' || coalesce(c.answer::text, '')), t.said) > 0)
ORDER BY id FOR UPDATE;

-- name: EraseCommand :exec
UPDATE rolecall.commands SET outcome = @outcome, answer = @answer WHERE id = @id;

-- name: JobErrorsNaming :many
-- A failed job's messages.
SELECT id, coalesce(array_to_json(errors)::text, '')::text AS errors FROM rolecall.river_job
WHERE errors IS NOT NULL
    AND EXISTS (SELECT FROM unnest(@texts::text[]) AS t (said) WHERE strpos(lower(errors::text), t.said) > 0);

-- name: EraseJobErrors :exec
UPDATE rolecall.river_job SET errors = NULL WHERE id = ANY (@ids::bigint[]);

-- name: EntriesNaming :many
-- Audit entries after the given id that name the person by an id, or have one of the texts. No index
-- helps: it reads the log.
SELECT id, organization_id, actor, action, target, coalesce(before::text, '')::text AS before, coalesce(after::text, '')::text AS after,
    coalesce(data::text, '')::text AS data, at, cause, seq, prev_hash, hash, impersonator, erased_by
FROM rolecall.audit_log l
WHERE id > @after_id AND action NOT IN ('operator.erased', 'operator.log_cut') AND (
    actor = ANY (@ids::text[]) OR target = ANY (@ids) OR impersonator = ANY (@ids) OR action LIKE 'operator.%'
    OR EXISTS (SELECT FROM unnest(@ids) AS t (id) WHERE strpos(concat(before::text, after::text, data::text), t.id) > 0)
    OR EXISTS (SELECT FROM unnest(@texts::text[]) AS t (said) WHERE strpos(lower(concat(target, before::text, after::text, data::text)), t.said) > 0)
    OR strpos(concat(before::text, after::text, data::text), '\u') > 0 -- what is escaped is read in Go
    OR @escaped::boolean AND octet_length(concat(target, before::text, after::text, data::text)) <> length(concat(target, before::text, after::text, data::text)))
ORDER BY id
LIMIT @page_size::integer;

-- name: EraseEntry :execrows
-- Unless another erasure has changed the entry since it was read: that one's texts would come back.
UPDATE rolecall.audit_log
SET target = @target, before = nullif(@before::text, '')::json, after = nullif(@after::text, '')::json, data = nullif(@data::text, '')::json,
    erased_by = @erased_by
WHERE id = @id AND hash = @hash AND erased_by IS NOT DISTINCT FROM @erased_before;

-- name: NoteErasure :exec
INSERT INTO rolecall.erasures (user_id) VALUES (@user_id) ON CONFLICT (user_id) DO UPDATE SET erased_at = clock_timestamp(), checked_at = 'epoch';

-- name: MarkUserErased :exec
UPDATE rolecall.users SET erased = true WHERE id = @user_id;

-- name: MarkMembershipsErased :exec
UPDATE rolecall.memberships SET erased = true WHERE id IN (SELECT m.id FROM rolecall.memberships m WHERE m.user_id = @user_id ORDER BY m.id FOR UPDATE);

-- name: MarkInvitationsErased :exec
UPDATE rolecall.invitations SET erased = true
WHERE id IN (SELECT i.id FROM rolecall.invitations i WHERE i.id = ANY (@ids::text[]) ORDER BY i.id FOR UPDATE);

-- name: EraseUser :exec
UPDATE rolecall.users SET identifier = NULL, first_name = NULL, last_name = NULL, image_url = NULL, changed_at = clock_timestamp()
WHERE id = @user_id AND erased;

-- name: EraseMemberships :exec
UPDATE rolecall.memberships SET public_metadata = NULL, changed_at = clock_timestamp()
WHERE id IN (SELECT m.id FROM rolecall.memberships m WHERE m.user_id = @user_id AND m.erased ORDER BY m.id FOR UPDATE);

-- name: EraseInvitations :exec
UPDATE rolecall.invitations SET email = '', changed_at = clock_timestamp()
WHERE id IN (SELECT i.id FROM rolecall.invitations i WHERE i.id = ANY (@ids::text[]) AND i.erased ORDER BY i.id FOR UPDATE);

-- name: OrganizationsOfInvitations :many
SELECT DISTINCT organization_id FROM rolecall.invitations WHERE id = ANY (@ids::text[]) AND organization_id <> '' ORDER BY organization_id;

-- name: WorkspacesNaming :many
-- Workspaces after the given id whose name, slug or metadata may have one of the texts; what is
-- escaped or has another lower case here is read in Go. No index helps.
SELECT id, name, slug, coalesce(public_metadata::text, '')::text AS public_metadata, (deleted_at IS NOT NULL)::boolean AS gone
FROM rolecall.organizations o
WHERE id > @after_id AND (
    EXISTS (SELECT FROM unnest(@texts::text[]) AS t (said)
        WHERE strpos(lower(concat_ws(' ', o.name, o.slug, o.public_metadata::text)), t.said) > 0)
    OR strpos(o.public_metadata::text, '\u') > 0
    OR @escaped::boolean AND octet_length(concat(o.name, o.slug, o.public_metadata::text)) <> length(concat(o.name, o.slug, o.public_metadata::text)))
ORDER BY id LIMIT @page_size::integer;

-- name: EraseWorkspaces :exec
-- Only deleted ones. The name also says that nothing late brings the old one back (sync.Organization).
UPDATE rolecall.organizations SET name = '[erased]', slug = NULL, image_url = NULL, public_metadata = NULL, changed_at = clock_timestamp()
WHERE id IN (SELECT o.id FROM rolecall.organizations o WHERE o.id = ANY (@ids::text[]) AND o.deleted_at IS NOT NULL ORDER BY o.id FOR UPDATE);

-- name: Erasures :one
-- How many people were erased, and since when deliveries may name one of them.
SELECT count(*) AS people, coalesce(min(checked_at), 'epoch')::timestamptz AS since, clock_timestamp()::timestamptz AS began FROM rolecall.erasures;

-- name: EraseLateBodies :one
-- One page of the deliveries with bodies, after the given position. The bodies of those that ended
-- go if they name people who were erased, or are about invitations to them, which may have only the
-- address, or about deleted workspaces that were called after them. The ids are read out of the body, so that the time doesn't grow with the number of people.
WITH page AS MATERIALIZED (
    SELECT d.svix_id, d.object_id, d.organization_id, d.received_at, d.state, d.body FROM rolecall.deliveries d
    WHERE d.body IS NOT NULL AND (d.received_at, d.svix_id) > (@after_at::timestamptz, @after_id::text)
    ORDER BY d.received_at, d.svix_id LIMIT @page_size::integer
), naming AS MATERIALIZED (
    SELECT p.svix_id, p.received_at, p.state FROM page p WHERE EXISTS (
        SELECT FROM regexp_matches(p.body, 'user_[0-9A-Za-z_]+', 'g') AS named (ids)
        JOIN rolecall.erasures e ON e.user_id = named.ids[1])
        OR EXISTS (SELECT FROM rolecall.invitations i WHERE i.id = p.object_id AND i.erased)
        OR EXISTS (SELECT FROM rolecall.organizations o WHERE o.id IN (p.object_id, p.organization_id) AND o.deleted_at IS NOT NULL AND o.name = '[erased]')
), erased AS (
    UPDATE rolecall.deliveries SET body = NULL
    WHERE svix_id IN (SELECT d.svix_id FROM rolecall.deliveries d WHERE d.svix_id IN (SELECT n.svix_id FROM naming n WHERE n.state <> 'received')
        ORDER BY d.svix_id FOR UPDATE) AND state <> 'received'
)
SELECT (SELECT count(*) FROM page) AS seen,
    coalesce((SELECT max(p.received_at) FROM page p), @after_at)::timestamptz AS last_at,
    coalesce((SELECT p.svix_id FROM page p ORDER BY p.received_at DESC, p.svix_id DESC LIMIT 1), '')::text AS last_id,
    EXISTS (SELECT FROM naming n WHERE n.state = 'received') AS waits,
    coalesce((SELECT min(n.received_at) FROM naming n WHERE n.state = 'received'), 'epoch')::timestamptz AS waiting;

-- name: NoteErasuresChecked :exec
-- Of people who were erased since the check began, it has perhaps not seen all.
UPDATE rolecall.erasures SET checked_at = @through::timestamptz WHERE erased_at < @began::timestamptz AND checked_at < @through;

-- name: RequestIDsNaming :many
-- Ids of requests are the callers' choice.
SELECT id, coalesce(request_id, '')::text AS request_id FROM rolecall.commands
WHERE EXISTS (SELECT FROM unnest(@texts::text[]) AS t (said) WHERE strpos(lower(request_id), t.said) > 0);

-- name: EraseRequestIDs :exec
UPDATE rolecall.commands SET request_id = NULL WHERE id = ANY (@ids::text[]);
