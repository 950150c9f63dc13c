package api

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/api/policy"
	clerksync "github.com/callmine/rolecall/sync"
)

// The fixture of the certification scenario (openid/authzen, certification/): alice reads and
// writes record-1 and reads record-2, bob only reads record-1. A record is a workspace here.

// authZENPolicy is the fixture's policy.
func authZENPolicy() *policy.Policy {
	return &policy.Policy{
		Grants:  clerksync.Grants{"org:writer": {"write", "read"}, "org:reader": {"read"}},
		AuthZEN: policy.AuthZEN{WorkspaceTypes: []string{"workspace", "organization", "record"}},
	}
}

// setupAuthZEN serves the fixture.
func setupAuthZEN(tb testing.TB, change func(*Config)) *serverBundle {
	tb.Helper()
	b := setupServer(tb, func(c *Config) {
		c.Policy = authZENPolicy
		if change != nil {
			change(c)
		}
	})
	for _, m := range [][3]string{{"record-1", "alice", "org:writer"}, {"record-1", "bob", "org:reader"}, {"record-2", "alice", "org:reader"}} {
		_, err := b.pool.Exec(tb.Context(), `INSERT INTO rolecall.memberships (id, organization_id, user_id, role, created_at) VALUES ($1, $2, $3, $4, $5)`,
			membershipID(m[0], m[1]), m[0], m[1], m[2], worldBegan())
		require.NoError(tb, err)
	}
	return b
}

// authZENCase is one condition of the AuthZEN surface: a request, and what its answer must be.
type authZENCase struct {
	name string
	path string // after /access/v1/
	body string
	// media is the media type; "" for application/json.
	media string
	// status is 0 for 200.
	status int
	// want is the answer without what is each implementation's own: contexts and pages are left out,
	// and results sorted.
	want string
	// own says why other implementations may answer otherwise; "" if none may.
	own string
}

// Answers of the table.
const (
	allowed = `{"decision":true}`
	denied  = `{"decision":false}`
	none    = `{"results":[]}`
)

// Entities of the table.
const (
	alice   = `{"type":"user","id":"alice"}`
	bob     = `{"type":"user","id":"bob"}`
	read    = `{"name":"read"}`
	write1  = `{"name":"write"}`
	record1 = `{"type":"record","id":"record-1"}`
	record2 = `{"type":"record","id":"record-2"}`
)

// asked is the body of a question; more are further members.
func asked(subject, action, resource string, more ...string) string {
	members := []string{}
	for _, m := range [][2]string{{"subject", subject}, {"action", action}, {"resource", resource}} {
		if m[1] != "" {
			members = append(members, `"`+m[0]+`":`+m[1])
		}
	}
	return "{" + strings.Join(append(members, more...), ",") + "}"
}

// evaluationCases are the conditions of a single evaluation.
func evaluationCases() []authZENCase {
	one := func(name, body string) authZENCase { return authZENCase{name: name, path: "evaluation", body: body} }
	answers := func(c authZENCase, want string) authZENCase { c.want = want; return c }
	refused := func(c authZENCase) authZENCase { c.status = http.StatusBadRequest; return c }
	otherwise := func(why string, c authZENCase) authZENCase { c.own = why; return c }
	cases := []authZENCase{
		answers(one("rule 1", asked(alice, read, record1)), allowed),
		answers(one("rule 2", asked(alice, write1, record1)), allowed),
		answers(one("rule 3", asked(bob, read, record1)), allowed),
		answers(one("rule 4", asked(bob, write1, record1)), denied),
		answers(one("another resource, allowed", asked(alice, read, record2)), allowed),
		answers(one("another resource, denied", asked(alice, write1, record2)), denied),
		answers(one("no membership", asked(bob, read, record2)), denied),
		answers(one("with a context", asked(alice, read, record1, `"context":{"time":"2025-06-27T18:03-07:00","ip":"192.168.1.1"}`)), allowed),
		answers(one("with properties", asked(`{"type":"user","id":"alice","properties":{"department":"Sales","role":"manager"}}`,
			`{"name":"read","properties":{"method":"GET"}}`, `{"type":"record","id":"record-1","properties":{"status":"active","owner":"bob"}}`)), allowed),
		answers(one("unknown members of the request", asked(alice, read, record1, `"foo":"bar"`, `"futureField":{"nested":true}`)), allowed),
		answers(one("unknown members of the entities", asked(`{"type":"user","id":"alice","x":1}`, `{"name":"read","x":[1]}`, `{"type":"record","id":"record-1","x":{"x":null}}`)), allowed),
		answers(one("members in another order", `{"resource":{"id":"record-1","type":"record"},"action":{"name":"read"},"subject":{"id":"alice","type":"user"}}`), allowed),
		answers(one("escaped names", `{"\u0073ubject":`+alice+`,"action":`+read+`,"resource":`+record1+`}`), allowed),
		answers(one("optional members that are null", asked(`{"type":"user","id":"alice","properties":null}`, read, record1, `"context":null`)), allowed),
		answers(one("unknown subject", asked(`{"type":"user","id":"nobody"}`, read, record1)), denied),
		answers(one("unknown resource", asked(alice, read, `{"type":"record","id":"record-9"}`)), denied),
		otherwise("a relation or type that the model doesn't have is an error there", answers(one("unknown action", asked(alice, `{"name":"fly"}`, record1)), denied)),
		otherwise("a relation or type that the model doesn't have is an error there", answers(one("unknown type of subject", asked(`{"type":"spaceship","id":"alice"}`, read, record1)), denied)),
		otherwise("a relation or type that the model doesn't have is an error there", answers(one("unknown type of resource", asked(alice, read, `{"type":"spaceship","id":"record-1"}`)), denied)),
		otherwise("the property is Rolecall's", answers(one("a resource of a workspace", asked(alice, read, `{"type":"document","id":"1","properties":{"workspace_id":"record-1"}}`)), allowed)),
		otherwise("the property is Rolecall's", answers(one("a resource of another workspace", asked(bob, read, `{"type":"document","id":"1","properties":{"workspace_id":"record-2"}}`)), denied)),
		otherwise("the property is Rolecall's", answers(one("a workspace that isn't a text", asked(alice, read, `{"type":"document","id":"1","properties":{"workspace_id":["record-1"]}}`)), denied)),
		otherwise("ids with NUL are refused there", answers(one("an id that nothing can have", asked(`{"type":"user","id":"\u0000"}`, read, record1)), denied)),

		refused(one("no subject", asked("", read, record1))),
		refused(one("no action", asked(alice, "", record1))),
		refused(one("no resource", asked(alice, read, ""))),
		refused(one("null for a subject", asked("null", read, record1))),
		refused(one("no subject.type", asked(`{"id":"alice"}`, read, record1))),
		refused(one("no subject.id", asked(`{"type":"user"}`, read, record1))),
		refused(one("no action.name", asked(alice, `{}`, record1))),
		refused(one("no resource.type", asked(alice, read, `{"id":"record-1"}`))),
		refused(one("no resource.id", asked(alice, read, `{"type":"record"}`))),
		refused(one("subject is a text", asked(`"alice"`, read, record1))),
		refused(one("action is a text", asked(alice, `"read"`, record1))),
		refused(one("resource is a list", asked(alice, read, `[]`))),
		refused(one("subject.type is a number", asked(`{"type":1,"id":"alice"}`, read, record1))),
		refused(one("subject.id is a number", asked(`{"type":"user","id":1}`, read, record1))),
		refused(one("action.name is a number", asked(alice, `{"name":123}`, record1))),
		refused(one("resource.id is an object", asked(alice, read, `{"type":"record","id":{}}`))),
		refused(one("context is a text", asked(alice, read, record1, `"context":"x"`))),
		refused(one("properties are a list", asked(`{"type":"user","id":"alice","properties":[]}`, read, record1))),
		refused(one("malformed JSON", `{"subject":`)),
		otherwise("what follows the object isn't read there", refused(one("more after the object", asked(alice, read, record1)+"x"))),
		otherwise("what follows the object isn't read there", refused(one("two objects", asked(alice, read, record1)+"{}"))),
		refused(one("no body", "")),
		refused(one("a body of null", "null")),
		refused(one("a body that is a list", "["+asked(alice, read, record1)+"]")),
		refused(one("a body that is a text", `"subject"`)),
		refused(one("a name twice", asked(alice, read, record1, `"subject":`+bob))),
		refused(one("a name twice in an entity", asked(`{"type":"user","id":"bob","id":"alice"}`, read, record1))),
		otherwise("unknown members are passed over unread there", refused(one("a name twice in an unknown member", asked(alice, read, record1, `"x":{"a":1,"a":2}`)))),
		refused(one("names in another case", strings.Replace(asked(alice, read, record1), "subject", "Subject", 1))),
		refused(one("invalid UTF-8", asked("{\"type\":\"user\",\"id\":\"\xff\"}", read, record1))),
	}
	for _, context := range []string{
		`{"min_revision":"1"}`, `{"min_revision":1.5}`, `{"min_revision":-1}`, `{"min_revision":null}`, `{"min_revision":[]}`, `{"min_revision":9223372036854775808}`,
		`{"max_staleness":"1"}`, `{"max_staleness":0}`, `{"max_staleness":1.5}`, `{"max_staleness":true}`, `{"max_staleness":null}`, `{"max_staleness":99999999999}`,
	} {
		cases = append(cases, otherwise("demands of freshness are Rolecall's", refused(one("context "+context, asked(alice, read, record1, `"context":`+context)))))
	}
	cases = append(cases, otherwise("demands of freshness are Rolecall's", answers(one("a demand that isn't met", asked(alice, read, record1, `"context":{"max_staleness":1}`)), denied)))
	for _, media := range []string{"text/plain", "application/x-www-form-urlencoded", "application/jsonl", "application/json; charset", "*/*"} {
		c := otherwise("the media type isn't looked at there", refused(one("media type "+media, asked(alice, read, record1))))
		c.media = media
		cases = append(cases, c)
	}
	for _, media := range []string{"application/json; charset=utf-8", "Application/JSON"} {
		c := answers(one("media type "+media, asked(alice, read, record1)), allowed)
		c.media = media
		cases = append(cases, c)
	}
	return cases
}

// evaluationsCases are the conditions of lists of evaluations.
func evaluationsCases() []authZENCase {
	many := func(name, body, want string) authZENCase {
		return authZENCase{name: name, path: "evaluations", body: body, want: want}
	}
	refused := func(name, body string) authZENCase {
		return authZENCase{name: name, path: "evaluations", body: body, status: http.StatusBadRequest}
	}
	otherwise := func(why string, c authZENCase) authZENCase { c.own = why; return c }
	list := func(items ...string) string { return `"evaluations":[` + strings.Join(items, ",") + `]` }
	decisions := func(given ...string) string { return `{"evaluations":[` + strings.Join(given, ",") + `]}` }
	of := func(resource string) string { return `{"resource":` + resource + `}` }
	until := func(semantic string) string { return `"options":{"evaluations_semantic":` + semantic + `}` }
	mixed := list(of(record1), of(record2), of(record1))
	return []authZENCase{
		many("defaults for subject and action", asked(alice, read, "", list(of(record1), of(record2))), decisions(allowed, allowed)),
		many("in the order asked", asked(bob, "", record1, list(`{"action":`+read+`}`, `{"action":`+write1+`}`)), decisions(allowed, denied)),
		many("no defaults", asked("", "", "", list(asked(alice, read, record1), asked(bob, write1, record1))), decisions(allowed, denied)),
		many("defaults for all", asked(alice, write1, record1, list(`{}`, of(record2))), decisions(allowed, denied)),
		many("an item's own subject", asked(alice, write1, record1, list(`{"subject":`+bob+`}`, `{}`)), decisions(denied, allowed)),
		many("a default context", asked(alice, read, "", `"context":{"time":"x"}`, list(of(record1), `{"resource":`+record2+`,"context":{"source":"y"}}`)), decisions(allowed, allowed)),
		many("unknown members of an item", asked(alice, read, "", list(`{"resource":`+record1+`,"x":1}`)), decisions(allowed)),
		many("unknown options", asked(alice, read, "", list(of(record1)), `"options":{"another_option":"value"}`), decisions(allowed)),
		many("the same item again", asked(alice, read, "", list(of(record1), of(record1))), decisions(allowed, allowed)),
		otherwise("the answer is a list there", many("no list", asked(alice, read, record1), allowed)),
		otherwise("the answer is a list there", many("an empty list", asked(alice, read, record1, list()), allowed)),
		otherwise("the answer is a list there", many("null for a list", asked(alice, read, record1, `"evaluations":null`), allowed)),
		otherwise("the whole is refused there", many("an item without a resource", asked(alice, read, "", until(`"execute_all"`), list(of(record1), `{}`)), decisions(allowed, denied))),
		otherwise("the whole is refused there", many("an item without an action", asked(alice, "", record1, list(`{"action":`+read+`}`, `{}`)), decisions(allowed, denied))),
		otherwise("the whole is refused there", many("an item without a subject", asked("", read, record1, list(`{"subject":`+alice+`}`, `{}`)), decisions(allowed, denied))),
		otherwise("the whole is refused there", many("an item with half a resource, which no default completes", asked(alice, read, record1, list(of(`{"id":"record-1"}`), `{}`)), decisions(denied, allowed))),
		otherwise("the whole is refused there", many("an item of a wrong type", asked(alice, read, record1, list(`{"resource":"record-1"}`, `{"resource":null}`, `{}`)), decisions(denied, denied, allowed))),
		otherwise("demands of freshness are Rolecall's", many("an item's context replaces the default", asked(alice, read, record1, `"context":{"max_staleness":1}`, list(`{}`, `{"context":{}}`)), decisions(denied, allowed))),
		otherwise("demands of freshness are Rolecall's", many("an item's mistyped demand", asked(alice, read, record1, list(`{"context":{"min_revision":"x"}}`, `{}`)), decisions(denied, allowed))),
		many("execute_all", asked(alice, write1, "", until(`"execute_all"`), mixed), decisions(allowed, denied, allowed)),
		many("deny_on_first_deny", asked(alice, write1, "", until(`"deny_on_first_deny"`), mixed), decisions(allowed, denied)),
		many("permit_on_first_permit", asked(alice, write1, "", until(`"permit_on_first_permit"`), mixed), decisions(allowed)),
		many("deny_on_first_deny at a permit", asked(alice, read, "", until(`"deny_on_first_deny"`), mixed), decisions(allowed, allowed, allowed)),
		many("permit_on_first_permit at a deny", asked(bob, write1, "", until(`"permit_on_first_permit"`), mixed), decisions(denied, denied, denied)),
		many("deny_on_first_deny at an item that lacks an entity", asked(alice, read, "", until(`"deny_on_first_deny"`), list(of(record1), `{}`, of(record2))), decisions(allowed, denied)),
		otherwise("it counts as execute_all there", refused("another semantic", asked(alice, read, "", until(`"sometimes"`), list(of(record1))))),
		otherwise("it counts as execute_all there", refused("a semantic that is a number", asked(alice, read, "", until(`1`), list(of(record1))))),
		otherwise("it counts as execute_all there", refused("a semantic of null", asked(alice, read, "", until(`null`), list(of(record1))))),
		otherwise("it isn't read there", refused("another semantic without a list", asked(alice, read, record1, until(`"sometimes"`)))),
		refused("options are a text", asked(alice, read, "", `"options":"execute_all"`, list(of(record1)))),
		refused("a list that is an object", asked(alice, read, record1, `"evaluations":{}`)),
		refused("an item that is a number", asked(alice, read, record1, list("1"))),
		refused("an item that is null", asked(alice, read, record1, list("null"))),
		refused("a default that is a text", asked(`"alice"`, read, "", list(asked(alice, read, record1)))),
		refused("half a default", asked(`{"type":"user"}`, read, "", list(asked(alice, read, record1)))),
		otherwise("demands of freshness are Rolecall's", refused("a default context with a mistyped demand", asked(alice, read, record1, `"context":{"min_revision":"x"}`, list(`{"context":{}}`)))),
		refused("no list, and no resource", asked(alice, read, "")),
		refused("an empty list, and no resource", asked(alice, read, "", list())),
		refused("a name twice in an item", asked(alice, read, "", list(`{"resource":`+record1+`,"resource":`+record2+`}`))),
		otherwise("the limit is another one there", many("100 items", asked(alice, read, record1, list(slices.Repeat([]string{`{}`}, 100)...)), decisions(slices.Repeat([]string{allowed}, 100)...))),
		refused("101 items", asked(alice, read, record1, list(slices.Repeat([]string{`{}`}, 101)...))),
	}
}

// searchCases are the conditions of searches.
func searchCases() []authZENCase {
	search := func(kind string) func(name, body, want string) authZENCase {
		return func(name, body, want string) authZENCase {
			return authZENCase{name: kind + ": " + name, path: "search/" + kind, body: body, want: want}
		}
	}
	refused := func(c authZENCase) authZENCase { c.status = http.StatusBadRequest; return c }
	otherwise := func(why string, c authZENCase) authZENCase { c.own = why; return c }
	const unknownType = "a relation or type that the model doesn't have is an error there"
	subject, resource, action := search("subject"), search("resource"), search("action")
	anyUser, anyRecord := `{"type":"user"}`, `{"type":"record"}`
	both := `{"results":[` + `{"id":"alice","type":"user"},{"id":"bob","type":"user"}` + `]}`
	records := `{"results":[{"id":"record-1","type":"record"},{"id":"record-2","type":"record"}]}`
	cases := []authZENCase{
		subject("who reads", asked(anyUser, read, record1), both),
		subject("who writes", asked(anyUser, write1, record1), `{"results":[{"id":"alice","type":"user"}]}`),
		subject("with a context", asked(anyUser, read, record1, `"context":{"ip":"192.168.1.1"}`), both),
		subject("with an id, which is ignored", asked(alice, read, record1), both),
		otherwise("a wrong type is refused there", subject("with an id of a wrong type, which is ignored", asked(`{"type":"user","id":1}`, read, record1), both)),
		subject("unknown members", asked(`{"type":"user","x":1}`, read, record1, `"x":1`), both),
		subject("unknown resource", asked(anyUser, read, `{"type":"record","id":"record-9"}`), none),
		otherwise(unknownType, subject("unknown action", asked(anyUser, `{"name":"fly"}`, record1), none)),
		otherwise(unknownType, subject("unknown type of subject", asked(`{"type":"spaceship"}`, read, record1), none)),
		otherwise(unknownType, subject("unknown type of resource", asked(anyUser, read, `{"type":"spaceship","id":"record-1"}`), none)),
		otherwise("the property is Rolecall's", subject("a resource of a workspace", asked(anyUser, write1, `{"type":"document","id":"1","properties":{"workspace_id":"record-1"}}`), `{"results":[{"id":"alice","type":"user"}]}`)),
		otherwise("demands of freshness are Rolecall's", subject("a demand that isn't met", asked(anyUser, read, record1, `"context":{"max_staleness":1}`), none)),
		refused(subject("no action", asked(anyUser, "", record1), "")),
		refused(subject("no subject", asked("", read, record1), "")),
		refused(subject("no resource", asked(anyUser, read, ""), "")),
		refused(subject("no type", asked(`{}`, read, record1), "")),
		refused(subject("no resource.id", asked(anyUser, read, anyRecord), "")),
		refused(subject("a subject that is a text", asked(`"user"`, read, record1), "")),

		resource("what alice reads", asked(alice, read, anyRecord), records),
		resource("what alice writes", asked(alice, write1, anyRecord), `{"results":[{"id":"record-1","type":"record"}]}`),
		resource("what bob reads", asked(bob, read, anyRecord), `{"results":[{"id":"record-1","type":"record"}]}`),
		resource("with a context", asked(alice, read, anyRecord, `"context":{"ip":"192.168.1.1"}`), records),
		resource("with an id, which is ignored", asked(alice, read, record1), records),
		resource("unknown subject", asked(`{"type":"user","id":"nobody"}`, read, anyRecord), none),
		otherwise(unknownType, resource("unknown action", asked(alice, `{"name":"fly"}`, anyRecord), none)),
		otherwise(unknownType, resource("unknown type of subject", asked(`{"type":"spaceship","id":"alice"}`, read, anyRecord), none)),
		otherwise(unknownType, resource("unknown type of resource", asked(alice, read, `{"type":"spaceship"}`), none)),
		otherwise("the property is Rolecall's", resource("a type that isn't a workspace's", asked(alice, read, `{"type":"document","properties":{"workspace_id":"record-1"}}`), none)),
		otherwise("the type is Rolecall's", resource("a workspace by another type", asked(bob, read, `{"type":"workspace"}`), `{"results":[{"id":"record-1","type":"workspace"}]}`)),
		refused(resource("no subject", asked("", read, anyRecord), "")),
		refused(resource("no action", asked(alice, "", anyRecord), "")),
		refused(resource("no resource", asked(alice, read, ""), "")),
		refused(resource("no subject.id", asked(anyUser, read, anyRecord), "")),
		refused(resource("no resource.type", asked(alice, read, `{}`), "")),

		action("of alice", asked(alice, "", record1), `{"results":[{"name":"read"},{"name":"write"}]}`),
		action("of bob", asked(bob, "", record1), `{"results":[{"name":"read"}]}`),
		action("with a context", asked(alice, "", record1, `"context":{"ip":"192.168.1.1"}`), `{"results":[{"name":"read"},{"name":"write"}]}`),
		action("with an action, which is ignored", asked(alice, `{"name":"fly"}`, record1), `{"results":[{"name":"read"},{"name":"write"}]}`),
		action("with an action of a wrong type, which is ignored", asked(alice, `7`, record1), `{"results":[{"name":"read"},{"name":"write"}]}`),
		action("unknown subject", asked(`{"type":"user","id":"nobody"}`, "", record1), none),
		action("unknown resource", asked(alice, "", `{"type":"record","id":"record-9"}`), none),
		action("unknown type of subject", asked(`{"type":"spaceship","id":"alice"}`, "", record1), none),
		otherwise(unknownType, action("unknown type of resource", asked(alice, "", `{"type":"spaceship","id":"record-1"}`), none)),
		otherwise("demands of freshness are Rolecall's", action("a demand that isn't met", asked(alice, "", record1, `"context":{"max_staleness":1}`), none)),
		refused(action("no subject", asked("", "", record1), "")),
		refused(action("no resource", asked(alice, "", ""), "")),
		refused(action("no subject.id", asked(anyUser, "", record1), "")),
		refused(action("no resource.id", asked(alice, "", anyRecord), "")),
	}
	for _, page := range []string{`{"limit":-1}`, `{"limit":1.5}`, `{"limit":true}`, `{"limit":{}}`, `{"token":1}`, `[]`, `"x"`} {
		cases = append(cases, refused(subject("a page of "+page, asked(anyUser, read, record1, `"page":`+page), "")))
	}
	for _, page := range []string{`{"limit":0}`, `{"limit":201}`, `{"limit":"50"}`, `{"token":"x"}`, `{"token":"!"}`} {
		cases = append(cases, otherwise("there are no pages there", refused(subject("a page of "+page, asked(anyUser, read, record1, `"page":`+page), ""))))
	}
	for _, page := range []string{`{"limit":200}`, `{"limit":2}`, `{"limit":null,"token":null}`, `{"token":""}`, `{}`, `null`, `{"properties":{"sort":"asc"},"x":1}`} {
		cases = append(cases, subject("a page of "+page, asked(anyUser, read, record1, `"page":`+page), both))
	}
	for _, kind := range []func(string, string, string) authZENCase{subject, resource, action} {
		cases = append(cases, refused(kind("malformed JSON", "{", "")), refused(kind("no body", "", "")), refused(kind("a list", "[]", "")))
	}
	return cases
}

// common returns what all implementations must answer alike.
func common(t *testing.T, answer []byte) string {
	t.Helper()
	var body map[string]any
	require.NoError(t, json.Unmarshal(answer, &body), "%s", answer)
	delete(body, "page")
	delete(body, "context")
	if list, ok := body["evaluations"].([]any); ok {
		for _, one := range list {
			delete(one.(map[string]any), "context")
		}
	}
	if results, ok := body["results"].([]any); ok {
		slices.SortFunc(results, func(a, b any) int { return strings.Compare(asJSON(t, a), asJSON(t, b)) })
	}
	return asJSON(t, body)
}

func asJSON(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	require.NoError(t, err)
	return string(text)
}
