package console

import (
	"encoding/base64"
	"net/http"
	"strings"
	"time"
)

// saidCookie holds what a change did, until the next page shows it. The session seals it: another
// server on the same host name could set it, and so put its own words into the console.
const saidCookie = "rolecall_said"

// maxSaid bounds that text, in bytes: a cookie has 4 KiB.
const maxSaid = 1000

// keepSaid keeps what a change did for the page that the browser asks for next.
func (c *Console) keepSaid(w http.ResponseWriter, v *visit) {
	if v.said == "" {
		return
	}
	text := base64.RawURLEncoding.EncodeToString([]byte(v.said[:min(len(v.said), maxSaid)]))
	setCookie(w, v.Request, cookieName(v.Request, saidCookie), text+"."+seal([]byte(v.key), text), time.Minute)
}

// takeSaid returns what the last change did, once.
func (c *Console) takeSaid(w http.ResponseWriter, v *visit) string {
	name := cookieName(v.Request, saidCookie)
	cookies := v.CookiesNamed(name)
	if len(cookies) == 0 || v.operator == "" || v.Header.Get("X-Rolecall-Live") != "" {
		return ""
	}
	setCookie(w, v.Request, name, "", 0)
	for _, cookie := range cookies {
		text, by, _ := strings.Cut(cookie.Value, ".")
		if !isSealed([]byte(v.key), text, by) {
			continue
		}
		said, err := base64.RawURLEncoding.DecodeString(text)
		if err == nil { // we wrote it
			return string(said)
		}
	}
	return ""
}
