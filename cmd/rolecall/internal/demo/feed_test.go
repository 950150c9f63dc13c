package demo

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/cleanup"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/testlog"
)

// TestFeed_TellsDeliveriesDecisionsAndRepairs, with names in the place of ids.
func TestFeed_TellsDeliveriesDecisionsAndRepairs(t *testing.T) {
	t.Parallel()
	b, i, f := withInstruments(t)
	ada, ben := named(t, b, "Ada", "Kern"), named(t, b, "Ben", "Okoro")
	northwind, err := b.Clerk.CreateOrganization(clerksim.NewOrganization{Name: "Northwind", CreatedBy: ada})
	require.NoError(t, err)
	_, err = b.Clerk.AddMember(northwind.ID, ben, clerksim.RoleMember)
	require.NoError(t, err)
	b.Send(t, b.Clerk.Drain()...)
	_, err = i.Sweep(t.Context())
	require.NoError(t, err)

	var out testlog.Lines
	var stack cleanup.Stack
	f.start(t.Context(), i.db, &out, &stack)
	t.Cleanup(func() { require.NoError(t, stack.Run(context.WithoutCancel(t.Context()))) })
	tells := func(pattern string) {
		t.Helper()
		servicetest.Eventually(t, func() bool { return matches(pattern, out.String()) }, pattern)
	}
	require.Equal(t, http.StatusOK, b.May(t, b.Token(t, ben), northwind.ID, "reports:read"))
	tells(`Ben Okoro GET /v1/authorize reports:read in Northwind +200 allowed  [\d.]+ ms`)
	require.NoError(t, b.Clerk.RemoveMember(northwind.ID, ben))
	b.Send(t, b.Clerk.Drain()...)
	tells(`organizationMembership.deleted  Ben Okoro is no longer in Northwind +applied in [\d.]+ ms`)
	require.Equal(t, http.StatusNotFound, b.May(t, b.Token(t, ben), northwind.ID, "reports:read"))
	tells(`Ben Okoro GET /v1/authorize reports:read in Northwind +404 not-found  [\d.]+ ms`)
	status, _ := b.Say(t, b.Token(t, ada), http.MethodDelete, "/v1/workspaces/"+northwind.ID+"/members/"+ben, "")
	require.Equal(t, http.StatusNotFound, status)
	tells(`Ada Kern DELETE /v1/workspaces/Northwind/members/Ben Okoro +404 `)
	const forged = "e30.eyJzdWIiOiJBZGEifQ.e30" // its subject is Ada
	for method, path := range map[string]string{http.MethodGet: "/v1/nowhere", http.MethodPut: "/v1/me", http.MethodDelete: "/v1/workspaces/x/members/y"} {
		_, _ = b.Do(t, b.Request(t, method, path, ""), forged)
		tells(`unknown caller ` + method + ` ` + path + ` +40[145] `)
	}
	request := b.Request(t, http.MethodPost, "/v1/authorize", fmt.Sprintf(`{"checks":[{"user_id":%q,"workspace_id":%q,"permission":"billing:manage"}]}`, ada, northwind.ID))
	status, _ = b.Do(t, request, b.ServiceToken)
	require.Equal(t, http.StatusOK, status)
	tells(`a service POST /v1/authorize Ada Kern billing:manage in Northwind +200 allowed`)
	_, err = b.Clerk.AddMember(northwind.ID, ben, clerksim.RoleMember)
	require.NoError(t, err)
	b.Clerk.Drain() // lost
	_, err = i.Sweep(t.Context())
	require.NoError(t, err)
	tells(`sweep_\d+  Ben Okoro joined Northwind as org:member +repaired`)
	require.NotContains(t, out.String(), "Ada Kern joined", "that was before the feed began")
}

// TestFeed_LinesFitAndShowForeignText as what it is: ids and names may hold anything.
func TestFeed_LinesFitAndShowForeignText(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.Local)
	for _, e := range []event{
		{at, "a\nb\x1b[2J \u202e", "200 allowed  1 ms"},
		{at, strings.Repeat("ä", 300), strings.Repeat("ß", 300)},
		{at, "short", ""},
	} {
		line := e.line()
		require.LessOrEqual(t, utf8.RuneCountInString(line), feedWidth, line)
		require.True(t, strings.HasPrefix(line, "03:04:05 "), line)
		require.NotContains(t, line, "\n")
		require.NotContains(t, line, "\x1b")
		require.NotContains(t, line, "\u202e")
	}
}

// TestFeed_CountsWhatItLeavesOut: a flood neither fills the terminal nor the memory.
func TestFeed_CountsWhatItLeavesOut(t *testing.T) {
	t.Parallel()
	f := &feed{}
	handler := f.watch(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	for range 500 {
		handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/me", http.NoBody))
	}
	asked, missed := f.take()
	require.Len(t, asked, feedAsked)
	require.Equal(t, 500-feedAsked, missed)

	var out strings.Builder
	b := bounded{out: &out}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.Local)
	events := make([]event, 30)
	b.print(now, events, 100)
	b.print(now.Add(feedEvery), events, 0)
	require.Equal(t, feedLines, strings.Count(out.String(), "\n"))
	b.print(now.Add(time.Second), events[:1], 0)
	require.Contains(t, out.String(), "… and 140 more\n")
	require.Equal(t, feedLines+2, strings.Count(out.String(), "\n"))
}

// TestFeed_BreaksNoRequest that is foreign or odd.
func TestFeed_BreaksNoRequest(t *testing.T) {
	t.Parallel()
	b, i, f := withInstruments(t)
	for _, path := range []string{"/v1/%00", "/v1/workspaces/%ff/members", "/v1/" + strings.Repeat("x", 20<<10), "/v1/workspaces/org_%27/me"} {
		for _, token := range []string{"", "a.b.c", "..", "e30.e30.e30", b.ServiceToken} {
			b.Get(t, b.Web(path), token)
		}
	}
	asked, _ := f.take()
	require.NotEmpty(t, asked)
	read := newReader()
	events, more := read.events(t.Context(), i.db, asked, len(asked))
	require.Len(t, events, len(asked))
	require.Zero(t, more)
}

func matches(pattern, text string) bool { return regexp.MustCompile(pattern).MatchString(text) }
