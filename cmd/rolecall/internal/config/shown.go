package config

import (
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// secretLike recognizes secrets in settings where none belongs: keys by their prefixes, passwords
// in URLs and in other forms, and long random text.
var secretLike = regexp.MustCompile(`(?i)\b(sk|rcs|whsec|ak)_|@|passw|secret=|[a-z0-9+=]{32,}`)

// shown quotes a wrong value, shortened. It hides a value that may be a secret.
func shown(value string) string {
	const longest = 60
	if secretLike.MatchString(value) {
		return "the value (not printed, since it may hold a secret)"
	}
	runes := []rune(value)
	if len(runes) > longest {
		return strconv.Quote(string(runes[:longest])) + "…"
	}
	return strconv.Quote(value)
}

// redactWeb hides the secrets of a web address: its user, and the values of its query. If an
// address can't be read and may hold a secret, it hides all of it.
func redactWeb(value string) string {
	u, err := url.Parse(value)
	if err != nil {
		return hide(value)
	}
	query := u.Query()
	for name := range query {
		query.Set(name, "xxxxx") // as in [url.URL.Redacted]
	}
	if u.User != nil {
		u.User = url.UserPassword("xxxxx", "xxxxx") // a token may stand where a name does
	}
	rest := *u
	rest.User, rest.RawQuery, rest.Fragment = nil, "", ""
	if u.Host == "" || strings.Contains(rest.String(), "@") {
		return hide(value)
	}
	u.RawQuery, u.Fragment, u.RawFragment = query.Encode(), "", ""
	return u.String()
}

// hide returns a value that is no address. It hides one that may be a secret.
func hide(value string) string {
	if secretLike.MatchString(value) {
		return redacted
	}
	return value
}
