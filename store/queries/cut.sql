-- Cuts of the audit log. One transaction at a time cuts or erases, so that no voucher is cut while
-- another transaction begins to need it.

-- name: LockVouching :exec
SELECT pg_advisory_xact_lock(@key::bigint);

-- name: ChainsToCut :many
-- The next chains after the given one. A chain is due if the first entry after its cut happened
-- before an instant, and isn't the last entry.
SELECT h.organization_id, (coalesce(c.seq, 0) + 1 < h.seq AND EXISTS (
    SELECT FROM rolecall.audit_log l
    WHERE l.organization_id = h.organization_id AND l.seq = coalesce(c.seq, 0) + 1 AND l.at < @due_before::timestamptz
))::boolean AS due
FROM rolecall.audit_heads h
LEFT JOIN rolecall.audit_cuts c ON c.organization_id = h.organization_id
WHERE h.organization_id > @after OR @first::boolean
ORDER BY h.organization_id
LIMIT @page_size::integer;

-- name: CutOf :one
SELECT seq, hash, kept, digest, before, cut_by FROM rolecall.audit_cuts WHERE organization_id = @organization_id;

-- name: LatestCut :one
-- The latest instant before which entries of any chain may be missing.
SELECT coalesce(max(before), '0001-01-01 00:00:00+00')::timestamptz AS before FROM rolecall.audit_cuts;

-- name: EntriesBetween :many
-- Entries of a chain after one number and through another, in the order of their numbers.
SELECT id, seq, hash, actor, action, target, before, after, at
FROM rolecall.audit_log
WHERE organization_id = @organization_id AND seq > @after_seq AND seq <= @through
ORDER BY seq
LIMIT @page_size::integer;

-- name: LateTargets :many
-- Targets of a chain's entries after a number: of those that happened at an instant or before, and
-- of those by which a workspace came back. Of an accepted invitation, it is the user who accepted.
SELECT coalesce(CASE l.action WHEN 'invitation.accepted' THEN l.actor END, l.target)::text AS target
FROM rolecall.audit_log l WHERE l.organization_id = @organization_id AND l.at <= @at AND l.seq > @after_seq
UNION
SELECT c.target FROM rolecall.audit_log c WHERE c.organization_id = @organization_id AND c.action = 'workspace.created' AND c.seq > @after_seq;

-- name: VouchersInUse :many
-- Those of the given entries of the instance's chain that vouch for a cut or for what is left of an
-- entry.
SELECT v.seq FROM rolecall.audit_log v
WHERE v.organization_id = '' AND v.seq = ANY (@seqs::bigint[]) AND CASE v.action
    WHEN 'operator.log_cut' THEN EXISTS (SELECT FROM rolecall.audit_cuts c WHERE c.cut_by = v.seq)
    WHEN 'operator.erased' THEN EXISTS (
        SELECT FROM json_array_elements(v.data -> 'entries') AS e (entry)
        JOIN rolecall.audit_log l ON l.organization_id = e.entry ->> 'workspace_id' AND l.seq = (e.entry ->> 'id')::bigint
        WHERE l.erased_by = v.seq)
    ELSE false
END;

-- name: AppendVoucher :one
-- Appends an entry to the instance's chain that vouches for cuts or erasures. The trigger chains the
-- entry.
INSERT INTO rolecall.audit_log (organization_id, action, target, data, at, cause)
VALUES ('', @action, @target, @data, clock_timestamp(), @cause)
RETURNING seq;

-- name: MoveCut :exec
INSERT INTO rolecall.audit_cuts AS c (organization_id, seq, hash, kept, digest, before, cut_by)
VALUES (@organization_id, @seq, @hash, @kept, @digest, @before, @cut_by)
ON CONFLICT (organization_id) DO UPDATE
SET seq = excluded.seq, hash = excluded.hash, kept = excluded.kept, digest = excluded.digest, cut_by = excluded.cut_by,
    before = greatest(c.before, excluded.before);

-- name: DeleteKeysOf :exec
DELETE FROM rolecall.audit_keys WHERE entry_id = ANY (@ids::bigint[]);

-- name: DeleteEntries :execrows
DELETE FROM rolecall.audit_log WHERE id = ANY (@ids::bigint[]);
