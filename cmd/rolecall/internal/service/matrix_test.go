package service_test

import (
	"crypto/rand"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/api/auth"
	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/internal/clerksim"
)

// audience says for whom a route is.
type audience int

const (
	forAnybody  audience = iota // without a token
	forUsers                    // with an account that isn't barred
	forMembers                  // of the workspace, with the permission
	forServices                 // acting for themselves
)

// route is one way to use an operation of the document. Names in braces are replaced by what [site]
// has.
type route struct {
	method, path string // as the document has them
	query, body  string
	variant      string // tells the rows of one operation apart
	kind         audience
	permission   string // that members need beside membership
	status       int    // of success
	spends       bool   // success uses its target up
	oneself      bool   // the target is the caller
	dead         int    // status that services get about a deleted workspace; 0 for that of success
	alone        bool   // services use it for themselves only
	usersOnly    bool   // services never use it
	ownName      bool   // services read it in their own names, so that their tokens must name scopes
	headers      []string
	told         string // what only an allowing answer has; a refusal is a success, too
}

// site is the workspace, member and invitation that a request is about.
type site struct{ workspace, member, invitation string }

// fill replaces the names in braces that stand for objects at Clerk, and for a path of the product.
func (s site) fill(text string) string {
	return strings.NewReplacer("{workspace_id}", s.workspace, "{user_id}", s.member, "{invitation_id}", s.invitation,
		"{path}", "w/"+s.workspace+"/reports").Replace(text)
}

func (r route) name() string {
	return strings.TrimSuffix(r.method+" "+r.path+" "+r.variant, " ")
}

// routes has a row for each operation of the document, and several rows if the target matters.
func routes() []route {
	const (
		workspace   = "/v1/workspaces/{workspace_id}"
		member      = workspace + "/members/{user_id}"
		invitations = workspace + "/invitations"
	)
	ask := func(permission string) route {
		return route{
			method: http.MethodGet, path: "/v1/authorize", query: "?workspace_id={workspace_id}&permission=" + permission,
			variant: permission, kind: forMembers, permission: permission, status: http.StatusOK,
		}
	}
	proxied := func(path string, headers ...string) route {
		return route{method: http.MethodGet, path: path, headers: headers, kind: forMembers, permission: "reports:read", status: http.StatusOK, usersOnly: true}
	}
	authZEN := func(path, body, told string) route {
		return route{
			method: http.MethodPost, path: "/access/v1/" + path, oneself: true, kind: forMembers, permission: "reports:read", status: http.StatusOK, told: told,
			body: strings.NewReplacer("SUBJECT", `"subject":{"type":"user","id":"{user_id}"}`, "ACTION", `"action":{"name":"reports:read"}`,
				"RESOURCE", `"resource":{"type":"workspace","id":"{workspace_id}"}`, "PAGE", `"page":{"limit":200}`).Replace(body),
		}
	}
	subjects := authZEN("search/subject", `{"subject":{"type":"user"},ACTION,RESOURCE,PAGE}`, "{user_id}")
	subjects.kind = forServices
	return []route{
		{method: http.MethodGet, path: "/openapi.yaml", status: http.StatusOK},
		{method: http.MethodGet, path: "/.well-known/authzen-configuration", status: http.StatusNotFound}, // without ROLECALL_PUBLIC_URL
		proxied("/v1/forward-auth", "X-Forwarded-Method", "GET", "X-Forwarded-Uri", "/w/{workspace_id}/reports"),
		proxied("/v1/ext-authz/{path}"),
		authZEN("evaluation", "{SUBJECT,ACTION,RESOURCE}", `"decision":true`),
		authZEN("evaluations", `{SUBJECT,ACTION,"evaluations":[{RESOURCE}]}`, `"decision":true`),
		authZEN("search/resource", `{SUBJECT,ACTION,"resource":{"type":"workspace"},PAGE}`, "{workspace_id}"),
		authZEN("search/action", "{SUBJECT,RESOURCE,PAGE}", `"reports:read"`),
		subjects,
		{method: http.MethodPost, path: "/webhooks/clerk", body: `{}`, status: http.StatusBadRequest}, // a token is no signature
		{method: http.MethodGet, path: "/v1/me", kind: forUsers, status: http.StatusOK},
		{method: http.MethodPost, path: "/v1/workspaces", body: `{"name":"Another"}`, kind: forUsers, status: http.StatusCreated},
		{method: http.MethodGet, path: workspace, kind: forMembers, status: http.StatusOK},
		{method: http.MethodPatch, path: workspace, body: `{"name":"North"}`, kind: forMembers, permission: "workspace:update", status: http.StatusOK},
		{method: http.MethodGet, path: workspace + "/me", kind: forMembers, status: http.StatusOK},
		{method: http.MethodGet, path: workspace + "/members", kind: forMembers, permission: "members:read", status: http.StatusOK},
		{method: http.MethodPatch, path: member, body: `{"role":"member"}`, kind: forMembers, permission: "members:manage", status: http.StatusOK},
		{method: http.MethodDelete, path: member, kind: forMembers, permission: "members:manage", status: http.StatusNoContent, spends: true},
		{method: http.MethodPatch, path: member, body: `{"role":"admin"}`, variant: "oneself", oneself: true, kind: forMembers, permission: "members:manage", status: http.StatusOK},
		{method: http.MethodDelete, path: member, variant: "oneself", oneself: true, kind: forMembers, status: http.StatusNoContent, spends: true},
		{method: http.MethodGet, path: invitations, kind: forMembers, permission: "members:manage", status: http.StatusOK},
		{method: http.MethodPost, path: invitations, body: `{"email":"{address}","role":"member"}`, kind: forMembers, permission: "members:manage", status: http.StatusCreated},
		{method: http.MethodDelete, path: invitations + "/{invitation_id}", kind: forMembers, permission: "members:manage", status: http.StatusNoContent, spends: true},
		{method: http.MethodGet, path: workspace + "/audit", kind: forMembers, permission: "audit:read", status: http.StatusOK},
		{method: http.MethodGet, path: workspace + "/audit/export", kind: forMembers, permission: "audit:read", status: http.StatusOK},
		{method: http.MethodPost, path: workspace + "/audit", body: `{"action":"report.run","target":"report_1"}`, kind: forServices, status: http.StatusCreated, dead: http.StatusNotFound, alone: true},
		{method: http.MethodGet, path: "/v1/changes", kind: forServices, status: http.StatusOK, alone: true, ownName: true},
		{
			method: http.MethodPost, path: "/v1/authorize", kind: forServices, status: http.StatusOK,
			body: `{"checks":[{"user_id":"{user_id}","workspace_id":"{workspace_id}","permission":"reports:read"}]}`,
		},
		{
			method: http.MethodPost, path: "/v1/explain", kind: forServices, status: http.StatusOK,
			body: `{"user_id":"{user_id}","workspace_id":"{workspace_id}","permission":"reports:read"}`,
		},
		ask("reports:read"), ask("billing:manage"), ask("org:invoices:create"),
	}
}

// call uses a route as the bearer of a token.
func (h *house) call(r route, where site, token string, headers ...string) answer {
	h.t.Helper()
	for _, header := range r.headers {
		headers = append(headers, where.fill(header))
	}
	body := strings.ReplaceAll(where.fill(r.body), "{address}", "new-"+strings.ToLower(rand.Text())+"@callmine.test")
	return h.ask(token, r.method, where.fill(r.path+r.query), body, headers...)
}

// caller is one column of the matrix: a caller, a token, and a workspace.
type caller struct {
	name      string
	token     string
	onBehalf  string // header of services
	userID    string // of the acting user, if the token is good
	unusable  bool   // the token is bad
	service   bool   // the token is a service's
	barred    string // reason for which the account may do nothing
	stranger  bool   // to the workspace
	role      string
	workspace string // a deleted one, instead of the common one
}

// permissions returns the oracle's permissions of each role: those of the product that the built-in
// policy was made for, of the test's own policy, and of roles at Clerk.
func permissions() map[string][]string {
	member := []string{"workspace:read", "analyses:run", "reports:read", "prompts:read", "prompts:write"}
	return map[string][]string{
		"org:member": member,
		"org:admin": append([]string{
			"workspace:update", "billing:manage", "integrations:manage", "schedules:manage", "audit:read", "members:read", "members:manage",
		}, member...),
		"org:auditor": {"workspace:read", "audit:read", "members:read"},
		"org:clerk":   {"org:invoices:create"},
		"org:visitor": {},
	}
}

// expected is the oracle: the status and problem of one cell, and the reason in the problem.
func expected(c caller, r route) (status int, problem, reason string) {
	granted := permissions()[c.role]
	switch {
	case r.kind == forAnybody:
		return r.status, "", ""
	case c.unusable:
		return http.StatusUnauthorized, "unauthenticated", ""
	case r.kind == forServices && !c.service, r.usersOnly && c.service:
		return http.StatusForbidden, "forbidden", ""
	case r.told != "":
		return r.status, "", ""
	case r.alone && c.onBehalf != "":
		return http.StatusBadRequest, "bad-request", ""
	case r.ownName: // the service's token names none
		return http.StatusForbidden, "scope-missing", ""
	case r.kind == forServices && c.workspace != "" && r.dead != 0:
		return r.dead, "not-found", ""
	case r.kind == forServices:
		return r.status, "", ""
	case c.service && c.onBehalf == "":
		return http.StatusBadRequest, "bad-request", ""
	case c.barred != "":
		return http.StatusForbidden, "forbidden", c.barred
	case r.kind == forUsers:
		return r.status, "", ""
	case c.stranger:
		return http.StatusNotFound, "not-found", ""
	case r.permission == "" || slices.Contains(granted, r.permission):
		return r.status, "", ""
	case len(granted) == 0:
		return http.StatusForbidden, "forbidden", "unknown_role"
	default:
		return http.StatusForbidden, "forbidden", "permission_missing"
	}
}

// allowed is the oracle of an answer that tells a decision.
func allowed(c caller, r route) bool {
	member := c.userID != "user_nobody" && c.barred == "" && !c.stranger
	return member && slices.Contains(permissions()[c.role], r.permission)
}

// documented lists the operations of the document.
func documented(t *testing.T) []string {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromFile(filepath.Join("..", "..", "..", "..", "api", "openapi.yaml"))
	require.NoError(t, err)
	operations := map[string]bool{}
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			operations[method+" "+path] = true
		}
	}
	return slices.Sorted(maps.Keys(operations))
}

// withRoles adds the test's own role and a route to the built-in policy.
func withRoles(t *testing.T) func(*config.Config) {
	t.Helper()
	policy, err := config.Config{}.Policy(t.Context())
	require.NoError(t, err)
	builtIn, err := policy.YAML()
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "policy.yaml")
	more := "  org:auditor:\n    - workspace:read\n    - audit:read\n    - members:read\n" +
		"routes:\n  - match: GET /w/{workspace}/reports\n    permission: reports:read\n"
	require.NoError(t, os.WriteFile(file, append(builtIn, more...), 0o600))
	return func(c *config.Config) { c.PolicyFile = file }
}

// matrix is the world in which every caller uses every route.
type matrix struct {
	*house
	admin   person
	where   site
	callers []caller
	added   int
}

// TestMatrix_EveryRoleOnEveryRouteWithEveryToken compares each cell of role × route × token with
// the oracle. A refused request must change nothing at Clerk.
func TestMatrix_EveryRoleOnEveryRouteWithEveryToken(t *testing.T) {
	t.Parallel()
	rows := []string{}
	for _, r := range routes() {
		rows = append(rows, r.method+" "+r.path)
	}
	slices.Sort(rows)
	require.Equal(t, documented(t), slices.Compact(rows), "each operation needs a row")

	m := &matrix{house: openHouse(t, withRoles(t))}
	m.people()
	m.tokens()
	wrong, cells := []string{}, 0
	for _, c := range m.callers {
		for _, r := range routes() {
			cells++
			if complaint := m.cell(c, r); complaint != "" {
				wrong = append(wrong, c.name+": "+r.name()+": "+complaint)
			}
		}
	}
	require.Empty(t, wrong, "%d of %d cells", len(wrong), cells)
	require.Equal(t, len(m.callers)*len(routes()), cells)
}

// cell uses one route as one caller and returns the fault of the answer.
func (m *matrix) cell(c caller, r route) string {
	m.t.Helper()
	status, problem, reason := expected(c, r)
	where, headers := m.where, []string{}
	if c.workspace != "" {
		where.workspace = c.workspace
	}
	if c.onBehalf != "" {
		headers = []string{"Rolecall-On-Behalf-Of", c.onBehalf}
	}
	if r.oneself {
		where.member = c.userID
	} else if r.spends && problem == "" {
		where = m.fresh()
	}
	before := m.writes()
	a := m.call(r, where, c.token, headers...)
	switch {
	case a.status != status:
		return fmt.Sprintf("%d, not %d: %s", a.status, status, a.text)
	case problem != "" && a.body["type"] != "urn:rolecall:problem:"+problem:
		return fmt.Sprintf("type %v, not %s", a.body["type"], problem)
	case problem != "" && reason != "" && a.body["reason"] != reason:
		return fmt.Sprintf("reason %v, not %s", a.body["reason"], reason)
	case problem != "" && m.writes() != before:
		return "refused, and yet Clerk was asked to change something"
	case r.told != "" && problem == "" && strings.Contains(a.text, where.fill(r.told)) != allowed(c, r):
		return fmt.Sprintf("allowed must be %t: %s", allowed(c, r), a.text)
	case (status == http.StatusUnauthorized || status == http.StatusNotFound) && a.header.Get("Rolecall-Revision") != "":
		return "tells a revision"
	}
	if r.oneself && problem == "" && r.told == "" { // back as it was
		if r.spends {
			_, err := m.Clerk.AddMember(m.where.workspace, c.userID, c.role)
			require.NoError(m.t, err)
		}
		m.deliverWebhooks()
	}
	return ""
}

// fresh makes a member and an invitation that may be used up.
func (m *matrix) fresh() site {
	m.t.Helper()
	spent := m.joined("Spent", clerksim.RoleMember)
	invitation, err := m.Clerk.Invite(m.where.workspace, m.admin.id, "spent-"+strings.ToLower(rand.Text())+"@callmine.test", clerksim.RoleMember)
	require.NoError(m.t, err)
	m.deliverWebhooks()
	return site{workspace: m.where.workspace, member: spent.id, invitation: invitation.ID}
}

// joined adds a new person to the common workspace.
func (m *matrix) joined(name, role string) person {
	m.t.Helper()
	m.added++
	p := m.person(name + strings.Repeat("x", m.added))
	_, err := m.Clerk.AddMember(m.where.workspace, p.id, role)
	require.NoError(m.t, err)
	return p
}

// people fills the world with callers whose tokens are good.
func (m *matrix) people() {
	m.t.Helper()
	_, err := m.Clerk.CreatePermission("org:invoices:create", "Create invoices")
	require.NoError(m.t, err)
	for key, has := range map[string][]string{"org:auditor": {}, "org:clerk": {"org:invoices:create"}, "org:visitor": {}} {
		_, err = m.Clerk.CreateRole(clerksim.NewRole{Key: key, Permissions: has})
		require.NoError(m.t, err)
	}
	m.admin = m.person("Alex")
	m.where.workspace = m.create(m.admin, "North")
	m.where.member = m.joined("Target", clerksim.RoleMember).id
	m.where.invitation = m.invite(m.admin, m.where.workspace, "pending@callmine.test", "member")
	dead := m.create(m.admin, "Gone")
	m.deliverWebhooks()
	for _, role := range slices.Sorted(maps.Keys(permissions())) {
		p := m.joined("Role", role)
		m.callers = append(m.callers, caller{name: role, token: p.token, userID: p.id, role: role})
	}
	for name, bar := range map[string]func(id string) error{
		"user_banned":        func(id string) error { _, err := m.Clerk.BanUser(id); return err },
		"user_deprovisioned": func(id string) error { _, err := m.Clerk.DeprovisionUser(id); return err },
		"user_deleted":       m.Clerk.DeleteUser,
	} {
		user, err := m.Clerk.CreateUser(clerksim.NewUser{Directory: true})
		require.NoError(m.t, err)
		_, err = m.Clerk.AddMember(m.where.workspace, user.ID, clerksim.RoleAdmin)
		require.NoError(m.t, err)
		m.deliverWebhooks()
		require.NoError(m.t, bar(user.ID))
		m.callers = append(m.callers, caller{name: name, token: m.Token(m.t, user.ID), userID: user.ID, barred: name})
	}
	removed, stranger := m.joined("Removed", clerksim.RoleAdmin), m.person("Stranger")
	m.deliverWebhooks()
	require.NoError(m.t, m.Clerk.RemoveMember(m.where.workspace, removed.id))
	require.NoError(m.t, m.Clerk.DeleteOrganization(dead))
	m.deliverWebhooks()
	m.callers = append(m.callers,
		caller{name: "removed", token: removed.token, userID: removed.id, stranger: true},
		caller{name: "stranger", token: stranger.token, userID: stranger.id, stranger: true},
		caller{name: "admin of a deleted workspace", token: m.admin.token, userID: m.admin.id, stranger: true, workspace: dead},
		caller{name: "service", token: m.ServiceToken, userID: "user_nobody", service: true},
		caller{name: "service, about a deleted workspace", token: m.ServiceToken, userID: "user_nobody", service: true, workspace: dead},
	)
	for _, c := range m.callers {
		if !c.service { // a service can't do more than the user it acts for
			c.name, c.token, c.onBehalf, c.service = "service for "+c.name, m.ServiceToken, c.userID, true
			m.callers = append(m.callers, c)
		}
	}
	plain := m.callers[slices.IndexFunc(m.callers, func(c caller) bool { return c.name == "org:member" })]
	plain.name, plain.onBehalf = "member who names an admin to act for", m.admin.id
	m.callers = append(m.callers, plain)
}

// tokens adds callers with bad tokens, each made for an admin.
func (m *matrix) tokens() {
	m.t.Helper()
	_, hash, err := auth.NewServiceToken(strings.NewReader(strings.Repeat("another!", 8)))
	require.NoError(m.t, err)
	unknown, _, err := auth.NewServiceToken(strings.NewReader(strings.Repeat("unknown!", 8)))
	require.NoError(m.t, err)
	bad := map[string]string{"no token": "", "garbage": "garbage", "unknown service": unknown, "hash of a service's token": hash}
	hour := time.Hour
	for name, options := range map[string]clerksim.TokenOptions{
		"expired":          {IssuedAt: time.Now().Add(-2 * hour), Lifetime: hour},
		"of the future":    {IssuedAt: time.Now().Add(2 * hour), Lifetime: hour},
		"pending":          {Status: "pending", Lifetime: hour},
		"wrong issuer":     {Issuer: "https://clerk.elsewhere.test", Lifetime: hour},
		"wrong azp":        {AuthorizedParty: "https://elsewhere.test", Lifetime: hour},
		"without azp":      {OmitAuthorizedParty: true, Lifetime: hour},
		"without expiry":   {OmitExpiry: true},
		"without subject":  {OmitSubject: true, Lifetime: hour},
		"alg none":         {Forgery: clerksim.Unsigned, Lifetime: hour},
		"HMAC, public key": {Forgery: clerksim.KeyConfusion, Lifetime: hour},
		"tampered":         {Forgery: clerksim.Tampered, Lifetime: hour},
		"unknown kid":      {KeyID: "ins_unknown", Lifetime: hour},
	} {
		bad[name], err = m.Clerk.SessionToken(m.admin.id, options)
		require.NoError(m.t, err)
	}
	for _, name := range slices.Sorted(maps.Keys(bad)) {
		m.callers = append(m.callers, caller{name: name, token: bad[name], userID: m.admin.id, unusable: true})
	}
	m.callers = append(m.callers, caller{name: "no token, for an admin", userID: m.admin.id, onBehalf: m.admin.id, unusable: true})
}
