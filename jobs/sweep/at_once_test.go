package sweep

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/store"
)

// The statements below compare all at once: so did the versions that didn't compare page by page.
// Pages must come to the same. $1 is the sweep, $2 its beginning, $3 its organization or ”.

const versionsAtOnce = `
WITH versions AS (
    SELECT 'organization' AS resource, id, version FROM rolecall.organizations
    UNION ALL SELECT 'user', id, version FROM rolecall.users
    UNION ALL SELECT 'role', id, version FROM rolecall.roles
    UNION ALL SELECT 'permission', id, version FROM rolecall.permissions
    UNION ALL SELECT 'membership', id, version FROM rolecall.memberships
    UNION ALL SELECT 'invitation', id, version FROM rolecall.invitations
    UNION ALL SELECT 'domain', id, version FROM rolecall.domains
)`

const unseenAtOnce = versionsAtOnce + `, unseen AS (
    SELECT l.resource, l.id FROM rolecall.live_objects l
    WHERE l.resource IN ('organization', 'user', 'membership') AND (l.changed_at < $2 OR EXISTS (
            SELECT FROM versions v WHERE v.resource = l.resource AND v.id = l.id AND coalesce((v.version ->> 'u')::bigint, 0) < extract(epoch FROM $2) * 1000
        ))
        AND ($3::text = '' OR l.organization_id = $3)
        AND NOT EXISTS (SELECT FROM rolecall.sweep_seen s WHERE s.sweep_id = $1 AND s.resource = l.resource AND s.id = l.id)
)`

const endsAtOnce = `m.id IN (SELECT u.id FROM unseen u WHERE u.resource = 'membership')
    OR m.organization_id IN (SELECT u.id FROM unseen u WHERE u.resource = 'organization')
    OR m.user_id IN (SELECT u.id FROM unseen u WHERE u.resource = 'user')`

const membershipsAtOnce = unseenAtOnce + `
SELECT count(*), count(*) FILTER (WHERE ` + endsAtOnce + `) FROM rolecall.live_objects m
WHERE m.resource = 'membership' AND ($3 = '' OR m.organization_id = $3)`

const stakesAtOnce = unseenAtOnce + `, stakes AS MATERIALIZED (
    SELECT m.organization_id, count(*) AS live, count(*) FILTER (WHERE ` + endsAtOnce + `) AS at_stake
    FROM rolecall.live_objects m
    WHERE m.resource = 'membership' AND ($3 = '' OR m.organization_id = $3)
    GROUP BY m.organization_id
)
SELECT organization_id, live, at_stake FROM stakes WHERE at_stake > 0
ORDER BY at_stake DESC, organization_id LIMIT $4`

const unlistedAtOnce = versionsAtOnce + `
SELECT l.id, l.organization_id, l.user_id FROM rolecall.live_objects l
WHERE l.resource = $4 AND l.changed_at >= $5 AND (l.changed_at < $2 OR EXISTS (
        SELECT FROM versions v WHERE v.resource = $4 AND v.id = l.id AND coalesce((v.version ->> 'u')::bigint, 0) < extract(epoch FROM $2) * 1000
    )) AND ($3::text = '' OR l.organization_id = $3)
    AND NOT EXISTS (SELECT FROM rolecall.sweep_seen s WHERE s.sweep_id = $1 AND s.resource = l.resource AND s.id = l.id)
ORDER BY l.id`

const tombstonesAtOnce = `
SELECT d.id, d.organization_id, d.user_id FROM rolecall.dead_objects d
JOIN rolecall.sweep_seen s ON s.sweep_id = $1 AND s.resource = d.resource AND s.id = d.id
WHERE d.resource = $3 AND d.known_at < $2
ORDER BY d.id`

const dependentsAtOnce = versionsAtOnce + `
SELECT h.resource, count(*)::integer FROM rolecall.live_objects h
WHERE (h.organization_id = $3 AND h.resource IN ('membership', 'invitation', 'domain') OR h.user_id = $3 AND h.resource = 'membership')
    AND (h.changed_at < $2 OR h.organization_id = $3 AND h.resource = 'membership' AND EXISTS (
        SELECT FROM versions v WHERE v.resource = h.resource AND v.id = h.id AND coalesce((v.version ->> 'u')::bigint, 0) < extract(epoch FROM $2) * 1000
    ))
    AND NOT EXISTS (SELECT FROM rolecall.sweep_seen s WHERE s.sweep_id = $1 AND s.resource = h.resource AND s.id = h.id)
GROUP BY h.resource`

// atOnce runs one of these statements.
func atOnce[R any](t require.TestingT, db store.DBTX, s store.Sweep, sql string, args ...any) []R {
	rows, err := db.Query(context.Background(), sql, append([]any{s.ID, s.StartedAt}, args...)...)
	require.NoError(t, err)
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[R])
	require.NoError(t, err)
	return found
}
