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
	if name == "" || utf8.RuneCountInString(name) > maxName || strings.ContainsFunc(name, unicode.IsControl) {
		return "", badRequest("name must have 1 to 256 characters.")
	}
	return name, nil
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

// email reads an address to invite.
func email(raw string) (string, error) {
	address, err := mail.ParseAddress(raw)
	if err != nil || address.Address != raw || len(raw) > maxEmail || !storable(raw) {
		return "", badRequest("email must be an e-mail address.")
	}
	return raw, nil
}

// role reads the key of a role, which may lack its prefix. It must be one that the mirror knows at Clerk, or that the policy grants
// something: no webhook tells of the roles that every instance has from its beginning. Clerk refuses what it doesn't have.
func (s *server) role(ctx context.Context, raw string) (string, error) {
	unknown := badRequest("role must be the key of a role, such as org:member or member.")
	if !storable(raw) {
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
