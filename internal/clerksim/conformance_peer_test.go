package clerksim_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// ours begins the name of everything that the suite creates.
const ours = "rolecall-conformance-"

// peer is a Clerk, simulated or not.
type peer struct {
	baseURL, secretKey string
	client             *http.Client
	pace               <-chan time.Time // receives before each call, unless nil
}

func newPeer(t *testing.T, baseURL, secretKey string, pace <-chan time.Time) peer {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment}, Timeout: 30 * time.Second}
	t.Cleanup(client.CloseIdleConnections)
	return peer{baseURL: baseURL, secretKey: secretKey, client: client, pace: pace}
}

// answer is an answer of the peer.
type answer struct {
	status int
	body   []byte
}

// call makes one call, with a body unless it is nil.
func (p peer) call(ctx context.Context, t *testing.T, method, path string, query url.Values, body object) answer {
	t.Helper()
	if p.pace != nil {
		<-p.pace
	}
	var content io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		require.NoError(t, err)
		content = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, p.baseURL+path+"?"+query.Encode(), content)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+p.secretKey)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Clerk-API-Version", "2026-05-12") // the version that the contract was read from
	response, err := p.client.Do(req)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	raw, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NotEqual(t, http.StatusTooManyRequests, response.StatusCode, "the instance is busy; try again later")
	return answer{status: response.StatusCode, body: raw}
}

func (p peer) get(t *testing.T, path string, query url.Values) answer {
	t.Helper()
	return p.call(t.Context(), t, http.MethodGet, path, query, nil)
}

func (p peer) list(t *testing.T, path string, query url.Values) page {
	t.Helper()
	return p.get(t, path, query).page(t)
}

// user makes a user and returns the id.
func (p peer) user(t *testing.T) string {
	t.Helper()
	made := p.call(t.Context(), t, http.MethodPost, "/users", nil, object{
		"email_address": []string{newAddress()}, "skip_password_requirement": true,
	}).ok(t)
	return p.mine(t, "/users/", made)
}

// organization makes an organization with an admin and returns the id.
func (p peer) organization(t *testing.T, adminID string) string {
	t.Helper()
	made := p.call(t.Context(), t, http.MethodPost, "/organizations", nil, object{
		"name": newName(), "created_by": adminID,
	}).ok(t)
	return p.mine(t, "/organizations/", made)
}

// mine returns the id of a created object, and deletes the object at the test's end unless the test
// has.
func (p peer) mine(t *testing.T, collection string, made object) string {
	t.Helper()
	id, _ := made["id"].(string)
	require.NotEmpty(t, id)
	t.Cleanup(func() {
		deleted := p.call(context.WithoutCancel(t.Context()), t, http.MethodDelete, collection+id, nil, nil)
		require.Contains(t, []int{http.StatusOK, http.StatusNotFound}, deleted.status, "delete %s by hand", id)
	})
	return id
}

func (a answer) ok(t *testing.T) object {
	t.Helper()
	require.Equal(t, http.StatusOK, a.status, "%s", a.body)
	return decode(t, a.body)
}

// page reads the answer as a list in the usual form.
func (a answer) page(t *testing.T) page {
	t.Helper()
	list := a.ok(t)
	require.Contains(t, list, "data")
	require.NotNil(t, list["data"], "an empty list isn't null")
	require.Contains(t, list, "total_count")
	var p page
	require.NoError(t, json.Unmarshal(a.body, &p))
	return p
}

// array reads the answer as a list that is a bare array.
func (a answer) array(t *testing.T) []object {
	t.Helper()
	require.Equal(t, http.StatusOK, a.status, "%s", a.body)
	var all []object
	require.NoError(t, json.Unmarshal(a.body, &all))
	require.NotNil(t, all)
	return all
}

// refused checks that the answer has Clerk's form of an error. Status 0 is any of 4xx, an empty
// code any code.
func (a answer) refused(t *testing.T, status int, code string) {
	t.Helper()
	if status == 0 {
		require.Equal(t, 4, a.status/100, "%d %s", a.status, a.body)
	} else {
		require.Equal(t, status, a.status, "%s", a.body)
	}
	var body struct {
		Errors []struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"errors"`
		TraceID string `json:"clerk_trace_id"`
	}
	require.NoError(t, json.Unmarshal(a.body, &body), "%s", a.body)
	require.NotEmpty(t, body.Errors)
	require.NotEmpty(t, body.Errors[0].Code)
	require.NotEmpty(t, body.Errors[0].Message)
	require.NotEmpty(t, body.TraceID)
	if code != "" {
		require.Equal(t, code, body.Errors[0].Code)
	}
}

func newName() string { return ours + strings.ToLower(rand.Text()) }

// newAddress returns an address with a mark that keeps Clerk from sending mail to it.
func newAddress() string { return newName() + "+clerk_test@example.com" }
