package api

import (
	"context"
	"net/mail"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

const (
	maxName  = 256 // Clerk's own limit, in characters
	maxSlug  = 256
	maxEmail = 254 // RFC 5321, section 4.5.3.1.3
)

// workspaceName reads the name of a workspace. Blanks around it don't count.
func workspaceName(raw string) (string, error) {
	name := strings.TrimSpace(raw)
	if utf8.RuneCountInString(name) > maxName || strings.ContainsFunc(name, misleads) || !strings.ContainsFunc(name, shows) {
		return "", badRequest("name must have 1 to 256 characters, of which one can be seen and none is a control character.")
	}
	return name, nil
}

// misleads reports whether a character breaks a line, or changes how its neighbours are shown. The
// marks of direction (U+200E, U+200F, U+061C) don't: they reorder no letter, and come with pasted
// Hebrew and Arabic names.
func misleads(r rune) bool {
	embeds := r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069' // embeddings, overrides and isolates
	return embeds || unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp)
}

// shows reports whether a character is visible. The fillers of Hangul and the blank of Braille
// aren't, though Unicode calls them letters and symbols.
func shows(r rune) bool {
	return unicode.IsGraphic(r) && !unicode.IsSpace(r) && !unicode.Is(unicode.M, r) && !strings.ContainsRune("\u115f\u1160\u2800\u3164\uffa0", r)
}

// slug reads the slug of a new workspace; nil is none.
func slug(raw *string) (string, error) {
	if raw == nil {
		return "", nil
	}
	odd := strings.ContainsFunc(*raw, func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' })
	if *raw == "" || len(*raw) > maxSlug || odd {
		return "", badRequest("slug must have 1 to 256 lower-case letters, digits and dashes.")
	}
	return *raw, nil
}

// email reads an address to invite: of a mailbox in a named domain, and without invisible
// characters, by which it could pass for another one.
func email(raw string) (string, error) {
	address, err := mail.ParseAddress(raw)
	hidden := func(r rune) bool { return !shows(r) && !unicode.Is(unicode.M, r) }
	if err != nil || address.Address != raw || len(raw) > maxEmail || !clerksync.Storable(raw) || strings.ContainsFunc(raw, hidden) || strings.HasSuffix(raw, "]") {
		return "", badRequest("email must be an e-mail address.")
	}
	return raw, nil
}

// role reads the key of a role, which may lack its prefix. The mirror must know the role, or the
// policy grant it something: no webhook tells of the roles that every instance begins with. Clerk
// refuses roles that it doesn't have.
func (s *server) role(ctx context.Context, raw string) (string, error) {
	unknown := badRequest("role must be the key of a role, such as org:member or member.")
	if !clerksync.Storable(raw) {
		return "", unknown
	}
	key := clerksync.CanonicalRole(raw)
	if !strings.Contains(key, ":") {
		key = "org:" + key
	}
	known, err := store.RoleKeys(ctx, s.cfg.DB)
	if err != nil {
		return "", err
	}
	_, granted := s.cfg.Grants()[key]
	if !granted && !slices.Contains(known, key) {
		return "", unknown
	}
	return key, nil
}
