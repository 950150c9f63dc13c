package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/callmine/rolecall/internal/clerksim"
	clerksync "github.com/callmine/rolecall/sync"
)

// showcase is the permissions that the tour asks for: one of members, and one of admins only.
type showcase struct{ forMembers, forAdmins string }

// newShowcase takes the README's permissions if the policy grants them to these roles, else the
// first suitable ones.
func newShowcase(grants clerksync.Grants) (s showcase, err error) {
	member, admin := grants[clerksim.RoleMember], grants[clerksim.RoleAdmin]
	adminOnly := slices.DeleteFunc(slices.Clone(admin), func(p string) bool { return slices.Contains(member, p) })
	if len(member) == 0 || len(adminOnly) == 0 {
		return s, errors.New("dev has nothing to show by this policy, which must grant org:member a permission, and org:admin another one: " +
			"add that, or unset it (is it in .env?)")
	}
	s = showcase{member[0], adminOnly[0]}
	if slices.Contains(member, "reports:read") {
		s.forMembers = "reports:read"
	}
	if slices.Contains(adminOnly, "billing:manage") {
		s.forAdmins = "billing:manage"
	}
	return s, nil
}

// tour shows the service at work over HTTP, and prints commands to try.
type tour struct {
	world             smallWorld
	showcase          showcase
	serviceToken      string
	web, admin, clerk string
	database          string // URL of the one that dev started; else ""
	out               io.Writer
}

// tokenLifetime is long, so that printed tokens work all day; Clerk's live for a minute.
const tokenLifetime = 24 * time.Hour

// patience is how long the tour waits for the mirror: thousands of times what it takes.
const patience = 15 * time.Second

func (t tour) show(ctx context.Context) error {
	tokens := map[string]string{}
	for _, id := range []string{t.world.admin, t.world.member, t.world.leaver, t.world.stranger} {
		token, err := t.world.clerk.SessionToken(id, clerksim.TokenOptions{Lifetime: tokenLifetime})
		if err != nil {
			return fmt.Errorf("make a session token: %w", err)
		}
		tokens[id] = token
	}
	allowed := t.may(t.showcase.forMembers)
	leaver := tokens[t.world.leaver]
	if _, err := t.until(ctx, leaver, allowed, http.StatusOK); err != nil {
		return err
	}
	if err := t.world.clerk.RemoveMember(t.world.workspace, t.world.leaver); err != nil {
		return fmt.Errorf("remove a member: %w", err)
	}
	took, err := t.until(ctx, leaver, allowed, http.StatusNotFound)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(t.out, `
Rolecall listens on %[1]s, and a simulated Clerk sends it signed webhooks.
Just now a member asked for %[2]s: 200. Then Clerk removed the member: 404 %[3]s later, with the same token.

Try it. An admin, a member, a stranger; 200, 403 and 404:

  ADMIN=%[4]s
  MEMBER=%[5]s
  STRANGER=%[6]s
  SERVICE=%[7]s

  curl -i -H "Authorization: Bearer $ADMIN"    '%[8]s'
  curl -i -H "Authorization: Bearer $MEMBER"   '%[8]s'
  curl -i -H "Authorization: Bearer $STRANGER" '%[8]s'
  curl -i -H "Authorization: Bearer $ADMIN"    '%[1]s/v1/workspaces/%[9]s/members'
  curl -i -H "Authorization: Bearer $MEMBER"   '%[1]s/v1/me'
  curl -i -H "Authorization: Bearer $SERVICE" -d '{"checks":[{"user_id":"%[10]s","workspace_id":"%[9]s","permission":"%[2]s"}]}' '%[1]s/v1/authorize'

Remove the member at Clerk, then ask again as the member: 200 becomes 404.

  curl -i -H "Authorization: Bearer $MEMBER"   '%[11]s'
  curl -i -X DELETE -H "Authorization: Bearer %[12]s" '%[13]s/v1/organizations/%[9]s/memberships/%[10]s'
  curl -i -H "Authorization: Bearer $MEMBER"   '%[11]s'

%[15]sFor operators: %[14]s/readyz and %[14]s/metrics. Ctrl-C ends everything.
`,
		t.web, t.showcase.forMembers, took.Round(100*time.Microsecond), tokens[t.world.admin], tokens[t.world.member],
		tokens[t.world.stranger], t.serviceToken, t.may(t.showcase.forAdmins), t.world.workspace, t.world.member, allowed,
		t.world.clerk.SecretKey(), t.clerk, t.admin, t.databaseHint())
	return err
}

// databaseHint says how other commands find the database that dev started.
func (t tour) databaseHint() string {
	if t.database == "" {
		return ""
	}
	return fmt.Sprintf(`The database, for other commands in another terminal:

  export DATABASE_URL='%s'   # then: rolecall status, psql "$DATABASE_URL"

`, t.database)
}

func (t tour) may(permission string) string {
	return t.web + "/v1/authorize?workspace_id=" + t.world.workspace + "&permission=" + permission
}

// until repeats a request until its answer has the wanted status, and returns how long that took.
func (t tour) until(ctx context.Context, token, url string, want int) (time.Duration, error) {
	start := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errors.New("the mirror did not follow in time"))
	defer cancel()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, strings.NewReader(""))
		if err != nil {
			return 0, fmt.Errorf("ask: %w", err)
		}
		request.Header.Set("Authorization", "Bearer "+token)
		response, err := http.DefaultClient.Do(request)
		if err == nil {
			_ = response.Body.Close() // nothing was read
			if response.StatusCode == want {
				return time.Since(start), nil
			}
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("wait for status %d: %w", want, context.Cause(ctx))
		case <-ticker.C:
		}
	}
}
