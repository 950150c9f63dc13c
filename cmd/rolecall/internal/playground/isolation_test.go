package playground_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/playground"
)

// isolation: an admin of one workspace tries each route with what belongs to another one.
func (s *shop) isolation(t *testing.T) {
	t.Parallel()
	victim := s.arrive(t, "Vic Tim")
	theirs := victim.found("Vault")
	victim.Go("/new")
	victim.fill("main form input[name=name]", "Secret call")
	victim.Click("main form button")
	report := victim.URL()
	victim.Go("/settings")
	victim.fill("#schedules input[name=name]", "Secret schedule")
	victim.Click("#schedules button")
	schedule := victim.Value("document.querySelector('#schedules input[name=id]').value")
	victim.invite("secret."+victim.email, "member")
	invitation := victim.Value("document.querySelector('#invitations input[name=id]').value")

	attacker := s.arrive(t, "Ada Tack")
	attacker.found("Lair")
	attacker.Go(report)
	require.Equal(t, http.StatusNotFound, attacker.Status())
	attacker.Go("/dashboard")
	attacker.Set("document.querySelector('.switcher button').value = '" + theirs + "'")
	attacker.switchTo(theirs)
	require.Equal(t, http.StatusNotFound, attacker.Status())
	require.Contains(t, attacker.Text("#answer"), "not-found")
	attacker.Go("/dashboard")
	require.Equal(t, "Lair", attacker.Text(".switcher summary"), "the forged switch changed nothing")

	c := s.calls(t, attacker.id)
	secrets := []string{"Secret", "Vault", "Vic Tim", victim.email, report, schedule, invitation}
	forged := url.Values{
		"workspace_id": {theirs}, "workspace": {theirs}, "organization_id": {theirs}, "id": {schedule}, "user_id": {victim.id},
		"name": {"Forged"}, "title": {"Forged"}, "text": {"Forged"}, "role": {"member"}, "email": {"forged@example.test"},
		"plan": {"Scale"}, "tool": {"Slack"}, "when": {"every day"}, "did": {"changed"}, "cursor": {theirs},
	}
	paths := playground.GuardedPaths()
	require.Contains(t, paths, "/settings/members/remove")
	for _, path := range paths {
		path = strings.ReplaceAll(path, "/reports/{id}", report)
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			for _, window := range []string{"", "/left", "/right"} {
				_, text := c.do(method, window+path+"?"+forged.Encode(), forged)
				for _, secret := range secrets {
					if !strings.Contains(forged.Encode(), url.QueryEscape(secret)) {
						require.NotContains(t, text, secret, "%s %s%s", method, window, path)
					}
				}
			}
		}
	}
	victim.Go("/dashboard")
	require.NotContains(t, victim.Text("main"), "Forged")

	victim.Go("/settings/members")
	require.Contains(t, victim.Text("#invitations"), "secret."+victim.email)
	require.NotContains(t, victim.Text("main"), "forged@example.test")
	require.Contains(t, victim.Text(".who"), "admin")
	victim.Go("/settings")
	require.Equal(t, "Starter", victim.Value("document.querySelector('#billing select').value"))
	require.Equal(t, "Secret schedule", victim.Value("document.querySelector('#schedules input[name=name]').value"))
	require.Equal(t, "Vault", victim.Text(".switcher summary"))
	victim.Go("/audit")
	require.NotContains(t, victim.Text("table"), "Ada Tack")
}
