package console

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/callmine/rolecall/store"
)

// visit is a request for a page or a change.
type visit struct {
	*http.Request

	db       store.DBTX        // a read-only transaction while a page loads
	operator string            // who is signed in; "" if the console is read-only
	session  [sha256.Size]byte // of the operator: the hash of key
	key      string            // of the session
	admitted bool              // may see pages
	title    string            // of the page
	said     string            // what a change did, for the next page
	began    time.Time         // of a download
}

// handler answers a visit, or returns an error that [faultOf] knows.
type handler func(w http.ResponseWriter, v *visit) error

// maxFilter bounds a filter, in bytes: longer than any id, name or e-mail address.
const maxFilter = 400

// filter returns a value of the query or of a form, without blanks around it.
func (v *visit) filter(name string) string {
	value := strings.TrimSpace(v.FormValue(name))
	if len(value) > maxFilter {
		value = value[:maxFilter]
	}
	return strings.ReplaceAll(strings.ToValidUTF8(value, "\ufffd"), "\x00", "\ufffd") // Postgres takes no NUL
}

// filters returns all values of the query, as the audit log can take them.
func (v *visit) filters() map[string]string {
	all := map[string]string{}
	for name := range v.URL.Query() {
		if value := v.filter(name); value != "" && isText(name) {
			all[name] = value
		}
	}
	return all
}

// isText reports whether Postgres can take a text.
func isText(text string) bool { return utf8.ValidString(text) && !strings.Contains(text, "\x00") }

// cursor reads the position at which a page of a list begins into a struct. On the first page it
// leaves the struct as it is.
func (v *visit) cursor(into any) error {
	text := v.FormValue("after")
	if text == "" {
		return nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || !utf8.Valid(raw) || strings.Contains(string(raw), `\u0000`) || json.Unmarshal(raw, into) != nil {
		return bad("The position in this list can't be read", "Begin at the first page of the list.")
	}
	return nil
}

// pager is the data of the template "pager". Empty links aren't shown.
type pager struct{ First, Next string }

// following returns the links of a list's page. position is what cursor reads on the next page; nil
// if this page is the last one.
func (v *visit) following(position any) pager {
	var p pager
	query := v.URL.Query()
	if query.Has("after") {
		query.Del("after")
		p.First = target(v.URL.Path, query)
	}
	if position != nil {
		text, err := json.Marshal(position)
		if err == nil { // it is a struct of plain values
			query.Set("after", base64.RawURLEncoding.EncodeToString(text))
			p.Next = target(v.URL.Path, query)
		}
	}
	return p
}

func target(path string, query url.Values) string {
	u := url.URL{Path: path, RawQuery: query.Encode()}
	return u.String()
}

// mustPath returns the URL of a path of this package.
func mustPath(path string) *url.URL { return &url.URL{Path: path} }
