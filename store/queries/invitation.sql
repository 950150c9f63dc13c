-- name: Invitations :many
-- One page of an organization's invitations in one status, in the order in which they were made,
-- after the given position. Clerk sends no event when an invitation expires: a pending one whose
-- time is over counts as expired.
SELECT i.id, i.email, i.role, i.inviter_id, i.created_at, i.expires_at
FROM rolecall.invitations i
WHERE i.organization_id = @organization_id AND i.deleted_at IS NULL
    AND CASE WHEN i.status = 'pending' AND i.expires_at <= @now::timestamptz THEN 'expired' ELSE i.status END = @status::text
    AND (i.created_at, i.id) > (@after_created_at::timestamptz, @after_id::text)
ORDER BY i.created_at, i.id
LIMIT @page_size::integer;
