package main

import (
	"bytes"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/store"
)

// TestChanges_ListsTheFeed: pages and cursors, of all workspaces and of one.
//
//nolint:paralleltest // the environment belongs to the process
func TestChanges_ListsTheFeed(t *testing.T) {
	d := newDesk(t)
	type list struct {
		Changes []listedChange `json:"changes"`
		Next    string         `json:"next"`
	}
	var all list
	servicetest.Eventually(t, func() bool {
		var unpublished int
		err := d.DB.QueryRow(t.Context(), "SELECT count(*) FROM rolecall.unpublished").Scan(&unpublished)
		return err == nil && unpublished == 0
	}, "all is published")
	d.read(t, &all, "changes", "--all")
	kinds := map[string]int{}
	for _, c := range all.Changes {
		kinds[c.Kind]++
	}
	require.Equal(t, map[string]int{"workspace.created": 2, "member.joined": 4, "invitation.sent": 1, "invitation.accepted": 1}, kinds)

	var paged []listedChange
	for after := []string{}; ; {
		var page list
		d.read(t, &page, append([]string{"changes", "--limit", "3"}, after...)...)
		if len(page.Changes) == 0 {
			require.NotEmpty(t, page.Next, "the end of the feed is a place, too")
			break
		}
		paged = append(paged, page.Changes...)
		after = []string{"--after", page.Next}
	}
	require.Equal(t, all.Changes, paged)

	var rest list
	d.read(t, &rest, "changes", "--after", all.Changes[4].Cursor)
	require.Equal(t, all.Changes[5:], rest.Changes, "a change's cursor")
	var acme list
	d.read(t, &acme, "changes", "--workspace", "acme")
	for _, c := range acme.Changes {
		require.Equal(t, "Acme", *c.WorkspaceName)
		require.Positive(t, *c.Revision)
	}
	require.Len(t, acme.Changes, 5)
	require.Regexp(t, "member.joined +"+d.ben+"\n  ben@acme.test +org:member", d.printed(t, "changes", "--workspace", "beta"))
	require.Len(t, d.records(t, "changes"), len(all.Changes))
	code, _, errs := runCommand(t, d.env, "changes", "--limit", "1")
	require.Equal(t, exitOK, code)
	require.Contains(t, errs, "There is more: add --all, or --after "+all.Changes[0].Cursor)

	for _, wrong := range [][]string{{"--after", "x"}, {"--after", "MTI6NA"}, {"--workspace", "nowhere"}, {"--follow", "--all"}, {"--limit", "0"}} {
		code, _, errs := runCommand(t, d.env, append([]string{"changes"}, wrong...)...)
		require.Equal(t, exitUsage, code, "%v: %s", wrong, errs)
	}
}

// TestChanges_SaysThatACursorHasExpired: it is of a history that a failover has cut off.
//
//nolint:paralleltest // the environment belongs to the process
func TestChanges_SaysThatACursorHasExpired(t *testing.T) {
	d := newDesk(t)
	lost := feedCursor{store.FeedPlace{Number: 7, History: [16]byte{1}, PublishedAt: time.Now()}}
	for _, follow := range [][]string{nil, {"--follow"}} {
		code, _, errs := runCommand(t, d.env, append([]string{"changes", "--after", lost.String()}, follow...)...)
		require.Equal(t, exitError, code)
		require.Contains(t, errs, "begin anew without --after")
	}
}

// TestChanges_TakesTheCursorsOfTheAPI: and the API those of the command.
func TestChanges_TakesTheCursorsOfTheAPI(t *testing.T) {
	b, _, _ := follows(t)
	_, _, _, messages := servicetest.Team(t, b)
	b.Send(t, messages...)
	page := func(query string) map[string]any {
		status, page := b.Get(t, b.Web("/v1/changes?limit=1"+query), b.ServiceToken)
		require.Equal(t, http.StatusOK, status)
		return page
	}
	first := page("&wait=10")
	second := page("&wait=10&after=" + first["next_cursor"].(string))
	var out, errs bytes.Buffer
	t.Setenv("DATABASE_URL", b.Config.DatabaseURL)
	require.Equal(t, exitOK, run(t.Context(), []string{"changes", "--limit", "1", "--csv", "--after", first["next_cursor"].(string)}, streams{&out, &errs}), errs.String())
	require.True(t, strings.HasSuffix(out.String(), ","+second["next_cursor"].(string)+"\n"), out.String())
}
