package bench_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
)

// routesBefore is how many routes the route map has before the one that counts: more than most
// products need.
const routesBefore = 30

// withRoutes adds a policy with a route map to the settings.
func (c *clerk) withRoutes(b *testing.B) {
	b.Helper()
	var text strings.Builder
	text.WriteString(servicetest.Text(b, "api/policy/policy.yaml") + "\nroutes:\n")
	for i := range routesBefore {
		fmt.Fprintf(&text, "  - { match: 'GET,HEAD /w/{workspace}/part%d/**', permission: members:read }\n", i)
	}
	text.WriteString("  - { match: 'GET,HEAD /w/{workspace}/reports/**', permission: members:read }\n")
	file := filepath.Join(b.TempDir(), "policy.yaml")
	require.NoError(b, os.WriteFile(file, []byte(text.String()), 0o600))
	c.settings = append(c.settings, "ROLECALL_POLICY_FILE="+file)
}

// doors compares the questions of proxies with GET /v1/authorize, which asks the same.
func (s *suite) doors(b *testing.B, c *clerk, addr string, callers int) {
	b.Helper()
	tokens := make([]string, callers)
	for i := range tokens {
		tokens[i] = c.token(b, userAt(i))
	}
	authorize := newAskers(b, addr, callers, func(ctx context.Context, caller int) (*http.Request, error) {
		return withToken(ctx, "/v1/authorize?permission=members:read&workspace_id="+organizationAt(caller), tokens[caller])
	})
	target := func(caller int) string { return "/w/" + organizationAt(caller) + "/reports/81?page=2" }
	for name, request := range map[string]func(context.Context, int) (*http.Request, error){
		"forward-auth": func(ctx context.Context, caller int) (*http.Request, error) {
			request, err := withToken(ctx, "/v1/forward-auth", tokens[caller])
			if err == nil {
				request.Header["X-Forwarded-Method"], request.Header["X-Forwarded-Uri"] = []string{http.MethodGet}, []string{target(caller)}
			}
			return request, err
		},
		"ext-authz by a cookie": func(ctx context.Context, caller int) (*http.Request, error) {
			request, err := withToken(ctx, "/v1/ext-authz"+target(caller), "")
			if err == nil {
				request.Header["Cookie"] = []string{"theme=dark; __session=x; __session_aB3dE5gH=" + tokens[caller]}
			}
			return request, err
		},
	} {
		own := newAskers(b, addr, callers, request)
		_, err := own[0].ask(b.Context())
		require.NoError(b, err)
		b.Run(name, func(b *testing.B) {
			closedLoop(b, callers, warmUp, asking(b, own))
			closedLoop(b, callers, warmUp, asking(b, authorize))
			s.table.compare(b, name+", "+plural(callers), "requests", func() float64 {
				return perSecond(b, callers, readTime, asking(b, authorize))
			}, func() float64 {
				return perSecond(b, callers, readTime, asking(b, own))
			})
		})
	}
}
