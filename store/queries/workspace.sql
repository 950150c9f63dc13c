-- name: Workspace :one
SELECT o.id, o.name, o.slug, o.image_url, o.created_at, o.created_by,
    (SELECT count(*) FROM rolecall.live_members l WHERE l.organization_id = o.id) AS member_count
FROM rolecall.organizations o
WHERE o.id = @id AND o.deleted_at IS NULL;

-- name: Members :many
-- One page of an organization's live members in the order of joining, after the given position.
SELECT id, user_id, role::text AS role, role_name, identifier, first_name, last_name, joined_at
FROM rolecall.live_members
WHERE organization_id = @organization_id AND (joined_at, id) > (@after_joined_at::timestamptz, @after_id::text)
ORDER BY joined_at, id
LIMIT @page_size::integer;
