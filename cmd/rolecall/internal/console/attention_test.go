package console_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// judged fills a service's mirror with workspaces that a round has found to need attention. Their
// names try to be markup, to hide, and to turn the line round.
func judged(t *testing.T, d *desk, workspaces int) {
	t.Helper()
	for _, sql := range []string{
		`UPDATE rolecall.needs_round SET next_at = now() + interval '1 hour'`, // first: a clean sweep lets the service's own round begin
		`INSERT INTO rolecall.sweeps (trigger, organization_id, dry_run, instance_id, started_at, updated_at, state, progress, report)
			VALUES ('interval', '', false, 'ins_1', now(), now(), 'clean', '{}', '{}')`,
		`INSERT INTO rolecall.policy_reading (read_at) VALUES (now()) ON CONFLICT (one) DO UPDATE SET read_at = now()`,
		`DELETE FROM rolecall.grants`,
		`INSERT INTO rolecall.grants VALUES ('org:admin', 'members:manage'), ('org:member', 'reports:read')`,
	} {
		_, err := d.DB.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	names := []string{
		"North Wind Analytics", "<script>alert(1)</script><b>bold", "a\u202etxt.exe", "", strings.Repeat("Endless", 40), "R\u00e9sum\u00e9 \u0007 & Co",
	}
	_, err := d.DB.Exec(t.Context(), `
		INSERT INTO rolecall.organizations (id, name, created_at, max_memberships)
			SELECT 'org_need' || lpad(n::text, 3, '0'), ($2::text[])[1 + n % cardinality($2::text[])], '2020-01-01', 2 FROM generate_series(1, $1) n`, workspaces, names)
	require.NoError(t, err)
	_, err = d.DB.Exec(t.Context(), `
		INSERT INTO rolecall.memberships (id, organization_id, user_id, role)
			SELECT 'orgmem_' || n || '_' || m, 'org_need' || lpad(n::text, 3, '0'), 'user_n' || m, CASE WHEN m = 1 THEN 'org:strange' ELSE 'org:member' END
			FROM generate_series(1, $1) n, generate_series(1, 1 + n % 5) m`, workspaces)
	require.NoError(t, err)
	_, err = d.DB.Exec(t.Context(), `
		INSERT INTO rolecall.needs (organization_id, need, since, settled, members)
			SELECT 'org_need' || lpad(n::text, 3, '0'), need, now() - n * interval '1 hour', true, 1 + n % 5
			FROM generate_series(1, $1) n, unnest($2::text[]) need`, workspaces, []string{"no_manager", "unknown_role", "over_seat_limit", "expired_invitations"})
	require.NoError(t, err)
	_, err = d.DB.Exec(t.Context(), `
		INSERT INTO rolecall.invitations (id, organization_id, email, status, created_at, expires_at)
			SELECT 'orginv_' || n, 'org_need00' || n, 'kim@example.com', 'expired', now() - interval '9 days', now() - interval '2 days' FROM generate_series(1, 3) n;
		DELETE FROM rolecall.needs WHERE need = 'expired_invitations' AND organization_id > 'org_need003' OR need = 'over_seat_limit' AND members <= 2;
		UPDATE rolecall.needs_round SET ended_at = now() - interval '3 minutes',
			counts = (SELECT json_object_agg(need, n) FROM (SELECT need, count(*) AS n FROM rolecall.needs GROUP BY need) c)`)
	require.NoError(t, err)
}

// TestWorkspaces_DuringTheFirstFill: a sweep lists workspaces before their members. None is said to
// be without a manager: that is told once a finding has settled.
func TestWorkspaces_DuringTheFirstFill(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.signIn(t)
	_, err := d.DB.Exec(t.Context(), `INSERT INTO rolecall.organizations (id, name, created_at) VALUES ('org_early', 'North', '2020-01-01')`)
	require.NoError(t, err)
	_, list, found := strings.Cut(d.get(t, "/workspaces").text, `<div id="workspaces"`)
	require.True(t, found)
	require.Contains(t, list, "org_early")
	require.NotContains(t, list, `class="tag`)
}

// TestAttention_ListsInPages what holds now, and links to each workspace.
func TestAttention_ListsInPages(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.signIn(t)
	judged(t, d, 60)
	_, err := d.DB.Exec(t.Context(), `UPDATE rolecall.memberships SET role = 'org:admin' WHERE organization_id = 'org_need004' AND user_id = 'user_n1'`)
	require.NoError(t, err)
	first := d.get(t, "/workspaces/attention")
	require.Equal(t, http.StatusOK, first.StatusCode, first.text)
	require.Equal(t, 50, strings.Count(first.text, `<a href="/workspaces/org_need`))
	require.NotContains(t, first.text, "org_need004", "it has a manager again")
	require.NotContains(t, first.text, "<script>alert")
	require.Contains(t, first.text, `\u202e`)
	_, rest, found := strings.Cut(first.text, `<a class="button" href="`)
	require.True(t, found)
	link, _, _ := strings.Cut(rest, `"`)
	second := d.get(t, strings.ReplaceAll(link, "&amp;", "&"))
	require.Equal(t, 9, strings.Count(second.text, `<a href="/workspaces/org_need`), second.text)

	seats := d.get(t, "/workspaces/attention?needs=over_seat_limit")
	require.Equal(t, 36, strings.Count(seats.text, `<a href="/workspaces/org_need`), "those of more than two members")
	require.Contains(t, seats.text, `data-label="Seats" class="n">5 of 2</td>`)
	require.Equal(t, http.StatusBadRequest, d.get(t, "/workspaces/attention?needs=coffee").StatusCode)
	require.Equal(t, http.StatusBadRequest, d.get(t, "/workspaces/attention?after=%00").StatusCode)
}
