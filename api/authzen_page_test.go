package api

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// pageOfSearch asks for a page and returns its ids or names, and the next token.
func pageOfSearch(t *testing.T, b *serverBundle, kind, body, page string) (found []string, next string) {
	t.Helper()
	answer := answerOf[searchBody](t, b.ask(serviceToken, "search/"+kind, strings.TrimSuffix(body, "}")+`,"page":{`+page+`}}`))
	for _, r := range answer.Results {
		found = append(found, r.ID+r.Name)
	}
	return found, answer.Page.NextToken
}

// TestAuthZEN_Pages: a token carries the limit, and is bound to its question.
func TestAuthZEN_Pages(t *testing.T) {
	t.Parallel()
	b := setupAuthZEN(t, nil)
	for kind, body := range map[string]string{
		"subject":  asked(`{"type":"user"}`, read, record1),
		"resource": asked(alice, read, `{"type":"record"}`),
		"action":   asked(alice, "", record1),
	} {
		whole, next := pageOfSearch(t, b, kind, body, ``)
		require.Len(t, whole, 2, kind)
		require.Empty(t, next, kind)
		exact, next := pageOfSearch(t, b, kind, body, `"limit":2`)
		require.Equal(t, whole, exact, kind)
		require.Empty(t, next, "%s: a full last page has no next one", kind)

		first, token := pageOfSearch(t, b, kind, body, `"limit":1`)
		require.Equal(t, whole[:1], first, kind)
		for _, page := range []string{`"token":"` + token + `"`, `"limit":1,"token":"` + token + `"`, `"token":"` + token + `","properties":{"x":1}`} {
			second, next := pageOfSearch(t, b, kind, body, page)
			require.Equal(t, whole[1:], second, "%s: %s", kind, page)
			require.Empty(t, next, kind)
		}
		requireToken(t, b, kind, body, token)
	}
}

// TestAuthZEN_Pages_KeepTheirLimit: a page that a token names is as long as the one before.
func TestAuthZEN_Pages_KeepTheirLimit(t *testing.T) {
	t.Parallel()
	b := setupServer(t, nil)
	b.world.member("org_1", "user_1", "org:admin", nil)
	body := asked(entityOf("user", "user_1"), "", entityOf("workspace", "org_1"))
	_, token := pageOfSearch(t, b, "action", body, `"limit":2`)
	second, next := pageOfSearch(t, b, "action", body, `"token":"`+token+`"`)
	require.Len(t, second, 2)
	require.NotEmpty(t, next, "an admin may do more")
}

// requireToken requires that a token of a question is refused with every other one.
func requireToken(t *testing.T, b *serverBundle, kind, body, token string) {
	t.Helper()
	send := func(kind, body, page string) exchange {
		return b.ask(serviceToken, "search/"+kind, strings.TrimSuffix(body, "}")+`,"page":{`+page+`}}`)
	}
	page := `"token":"` + token + `"`
	same := []string{strings.TrimSuffix(body, "}") + `,"x":1}`, strings.ReplaceAll(body, `"type":"record"`, `"x":2,"type":"record"`), " " + body}
	switch kind {
	case "subject":
		same = append(same, strings.Replace(body, `{"type":"user"}`, `{"type":"user","id":"bob"}`, 1))
	case "resource":
		same = append(same, strings.Replace(body, `{"type":"record"}`, record2, 1))
	case "action":
		same = append(same, strings.TrimSuffix(body, "}")+`,"action":`+write1+`}`)
	}
	for _, body := range same {
		require.Equal(t, http.StatusOK, send(kind, body, page).status, "%s: %s", kind, body)
	}
	others := []string{
		strings.TrimSuffix(body, "}") + `,"context":{"ip":"x"}}`,
		strings.Replace(body, `"type":"record"`, `"type":"workspace"`, 1),
		strings.Replace(body, `"type":"record"`, `"type":"record","properties":{"x":1}`, 1),
		strings.Replace(body, `"type":"user"`, `"type":"user","properties":{"x":1}`, 1),
		strings.Replace(body, `"type":"user"`, `"type":"spaceship"`, 1),
	}
	switch kind {
	case "subject":
		others = append(others, strings.Replace(body, "record-1", "record-2", 1), strings.Replace(body, read, write1, 1), strings.Replace(body, read, `{"name":"read","properties":{"x":1}}`, 1))
	case "resource":
		others = append(others, strings.Replace(body, "alice", "bob", 1), strings.Replace(body, read, write1, 1))
	case "action":
		others = append(others, strings.Replace(body, "alice", "bob", 1), strings.Replace(body, "record-1", "record-2", 1))
	}
	for _, other := range others {
		require.NotEqual(t, body, other)
		requireProblem(t, send(kind, other, page), http.StatusBadRequest, "")
	}
	for _, elsewhere := range []string{"subject", "resource", "action"} {
		if elsewhere != kind {
			requireProblem(t, send(elsewhere, asked(alice, read, record1), page), http.StatusBadRequest, "")
		}
	}
	requireProblem(t, send(kind, body, `"limit":2,`+page), http.StatusBadRequest, "")
	raw, err := base64.RawURLEncoding.DecodeString(token)
	require.NoError(t, err)
	for _, spoiled := range [][]byte{raw[:32], raw[:33], withByte(raw, 0, raw[0]^1), withByte(raw, 32, 0), withByte(raw, 32, 201)} {
		requireProblem(t, send(kind, body, `"token":"`+base64.RawURLEncoding.EncodeToString(spoiled)+`"`), http.StatusBadRequest, "")
	}
	if kind != "action" { // whose places may be any text
		spoiled := slices.Concat(raw[:33], []byte("nowhere"))
		requireProblem(t, send(kind, body, `"token":"`+base64.RawURLEncoding.EncodeToString(spoiled)+`"`), http.StatusBadRequest, "")
	}
}

func withByte(text []byte, at int, value byte) []byte {
	changed := slices.Clone(text)
	changed[at] = value
	return changed
}

// TestAuthZEN_SearchesAreBounded: among many members who seem to have a permission and are refused,
// a search ends with a short page and a token for the rest. All pages together have every result.
func TestAuthZEN_SearchesAreBounded(t *testing.T) {
	t.Parallel()
	b := setupAuthZEN(t, nil)
	const many = searchStep*searchSteps + 50
	_, err := b.pool.Exec(t.Context(), `INSERT INTO rolecall.memberships (id, organization_id, user_id, role, created_at)
		SELECT 'orgmem_' || n, 'org_1', 'user_' || n, 'org:reader', $2::timestamptz + n * interval '1 ms' FROM generate_series(1, $1::int) n`, many, worldBegan())
	require.NoError(t, err)
	_, err = b.pool.Exec(t.Context(), `INSERT INTO rolecall.users (id, banned) SELECT 'user_' || n, true FROM generate_series(2, $1::int - 1) n`, many)
	require.NoError(t, err)
	body := asked(`{"type":"user"}`, read, entityOf("workspace", "org_1"))
	first, token := pageOfSearch(t, b, "subject", body, ``)
	require.Equal(t, []string{"user_1"}, first)
	require.NotEmpty(t, token)
	rest, token := pageOfSearch(t, b, "subject", body, `"token":"`+token+`"`)
	require.Equal(t, []string{"user_" + strconv.Itoa(many)}, rest)
	require.Empty(t, token)

	_, err = b.pool.Exec(t.Context(), `UPDATE rolecall.users SET banned = false`)
	require.NoError(t, err)
	var all []string
	for token = ""; ; {
		var found []string
		found, token = pageOfSearch(t, b, "subject", body, fmt.Sprintf(`"limit":200,"token":%q`, token))
		all = append(all, found...)
		if token == "" {
			break
		}
		require.Len(t, found, maxLimit)
	}
	require.Len(t, all, many)
	require.Equal(t, "user_"+strconv.Itoa(many), all[many-1])
}

// TestAuthZEN_SearchesStopAtOnce if what refuses one membership refuses all: then there is no
// further page.
func TestAuthZEN_SearchesStopAtOnce(t *testing.T) {
	t.Parallel()
	b := setupAuthZEN(t, nil)
	for _, sql := range []string{
		`INSERT INTO rolecall.memberships (id, organization_id, user_id, role) SELECT 'orgmem_a' || n, 'org_gone', 'user_' || n, 'org:reader' FROM generate_series(1, 900) n`,
		`INSERT INTO rolecall.organizations (id, deleted_at) VALUES ('org_gone', now())`,
		`INSERT INTO rolecall.memberships (id, organization_id, user_id, role) SELECT 'orgmem_b' || n, 'org_' || n, 'user_banned', 'org:reader' FROM generate_series(1, 900) n`,
		`INSERT INTO rolecall.users (id, banned) VALUES ('user_banned', true)`,
	} {
		_, err := b.pool.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	for kind, body := range map[string]string{
		"subject":  asked(`{"type":"user"}`, read, entityOf("workspace", "org_gone")),
		"resource": asked(entityOf("user", "user_banned"), read, `{"type":"workspace"}`),
	} {
		found, token := pageOfSearch(t, b, kind, body, ``)
		require.Empty(t, found, kind)
		require.Empty(t, token, kind)
	}
}
