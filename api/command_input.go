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

// workspaceName returns the name of a workspace without surrounding blanks.
func workspaceName(raw string) (string, error) {
	name := strings.TrimSpace(raw)
	if utf8.RuneCountInString(name) > maxName || strings.ContainsFunc(name, misleads) || !strings.ContainsFunc(name, shows) {
		return "", badRequest("name must have 1 to 256 characters, at least one of them visible and none a control character.")
	}
	return name, nil
}

// misleads reports whether a character breaks a line, or changes how its neighbours are shown. The
// marks of direction (U+200E, U+200F, U+061C) are allowed: they reorder no letter, and come with
// pasted Hebrew and Arabic names.
func misleads(r rune) bool {
	embeds := r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069' // embeddings, overrides and isolates
	return embeds || unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp)
}

// shows reports whether a character is visible. The fillers of Hangul and the blank of Braille are
// invisible, though Unicode calls them letters and symbols.
func shows(r rune) bool {
	return unicode.IsGraphic(r) && !unicode.IsSpace(r) && !unicode.Is(unicode.M, r) && !strings.ContainsRune("\u115f\u1160\u2800\u3164\uffa0", r)
}

// slug returns the slug of a new workspace. For nil it is "".
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

// email returns an address to invite. It must be of a mailbox in a named domain, and have no
// invisible characters: with them it could pass for another address.
func email(raw string) (string, error) {
	address, err := mail.ParseAddress(raw)
	hidden := func(r rune) bool { return !shows(r) && !unicode.Is(unicode.M, r) }
	if err != nil || address.Address != raw || len(raw) > maxEmail || !clerksync.Storable(raw) || strings.ContainsFunc(raw, hidden) || strings.HasSuffix(raw, "]") {
		return "", badRequest("email must be an e-mail address.")
	}
	return raw, nil
}

// role returns the full key of a role; raw may lack the prefix. The role must be in the mirror or
// in the policy. The mirror may lack an instance's first roles, because no webhook announces them.
// Clerk refuses roles that it doesn't have.
func (s *server) role(ctx context.Context, raw string) (string, error) {
	unknown := badRequest("role must be the key of a role, such as org:member or member.")
	if !clerksync.Storable(raw) {
		return "", unknown
	}
	key := clerksync.RoleKey(raw)
	known, err := store.RoleKeys(ctx, s.cfg.DB)
	if err != nil {
		return "", err
	}
	_, granted := s.cfg.Policy().Grants[key]
	if !granted && !slices.Contains(known, key) {
		return "", unknown
	}
	return key, nil
}
