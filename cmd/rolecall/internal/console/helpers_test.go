package console_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/pgtest"
)

// desk is a service with an operator, ada, and her browser without JavaScript.
type desk struct {
	*servicetest.Bundle

	token   string // ada's
	browser *http.Client
}

// newDesk starts a service with the operator ada.
func newDesk(t *testing.T, changes ...func(*servicetest.Bundle, *config.Config)) *desk {
	t.Helper()
	token, entry := operator("ada")
	d := &desk{token: token}
	url := pgtest.URL(t)
	changes = append([]func(*servicetest.Bundle, *config.Config){func(_ *servicetest.Bundle, cfg *config.Config) { cfg.OperatorTokens = entry }}, changes...)
	d.Bundle = servicetest.Start(t, url, nil, config.Parts{Web: true, Workers: true}, changes...)
	d.Open(t, d.Config.DatabaseURL)
	d.browser = newBrowser(t)
	return d
}

// operator makes a token and its entry in ROLECALL_OPERATOR_TOKEN_HASHES.
func operator(name string) (token, entry string) {
	token = "rco_" + base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat(name+"'s entropy ", 8)))
	hash := sha256.Sum256([]byte(token))
	return token, name + ":" + hex.EncodeToString(hash[:])
}

// newBrowser returns a client with cookies, which follows no redirection.
func newBrowser(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Jar: jar, Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// answer is an answer with its text.
type answer struct {
	*http.Response

	text string
}

func ask(t *testing.T, client *http.Client, request *http.Request) answer {
	t.Helper()
	response, err := client.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return answer{response, string(text)}
}

// get opens a page. Headers are names and values.
func (d *desk) get(t *testing.T, path string, headers ...string) answer {
	t.Helper()
	return ask(t, d.browser, newRequest(t, http.MethodGet, d.Admin(path), nil, headers))
}

// post sends a form.
func (d *desk) post(t *testing.T, path string, form url.Values, headers ...string) answer {
	t.Helper()
	return ask(t, d.browser, newRequest(t, http.MethodPost, d.Admin(path), form, headers))
}

func newRequest(t *testing.T, method, at string, form url.Values, headers []string) *http.Request {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, at, strings.NewReader(form.Encode()))
	require.NoError(t, err)
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i] == "Host" {
			request.Host = headers[i+1]
			continue
		}
		request.Header.Set(headers[i], headers[i+1])
	}
	return request
}

// signIn signs ada in.
func (d *desk) signIn(t *testing.T) {
	t.Helper()
	a := d.post(t, "/sign-in", url.Values{"token": {d.token}})
	require.Equal(t, http.StatusSeeOther, a.StatusCode, a.text)
}

// logged returns the operators' entries of the audit log, the oldest first, each as its actor,
// action and target.
func (d *desk) logged(t *testing.T) (entries []string) {
	t.Helper()
	rows, err := d.DB.Query(t.Context(), `SELECT coalesce(actor, '?') || ' ' || action || ' ' || target FROM rolecall.audit_log
		WHERE organization_id = '' AND action LIKE 'operator.%' ORDER BY seq`)
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var entry string
		require.NoError(t, rows.Scan(&entry))
		entries = append(entries, entry)
	}
	require.NoError(t, rows.Err())
	return entries
}
