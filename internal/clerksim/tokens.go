package clerksim

import (
	"fmt"
	"maps"
	"strings"
	"time"
)

// tokenLife is how long Clerk's session tokens live.
const tokenLife = 60 * time.Second

// notBeforeMargin is how far nbf lies before iat, for clocks that differ.
const notBeforeMargin = 10 * time.Second

// TokenVersion is the layout of a session token's organization claims.
type TokenVersion int

// The layouts that Clerk issues.
const (
	// TokenV2 has them in the object o, with the role's prefix cut off and permissions as bit
	// masks. It is the default.
	TokenV2 TokenVersion = 2
	// TokenV1 has org_id, org_slug, org_role and org_permissions, and no v.
	TokenV1 TokenVersion = 1
)

// TokenOptions describes a token. The zero value is a good one: version 2, active, without an
// organization, valid for 60 seconds from now. All other values make tokens that a verifier has to
// check carefully.
type TokenOptions struct {
	// Version is the layout. Defaults to TokenV2.
	Version TokenVersion
	// OrganizationID is the active organization, or empty for none.
	OrganizationID string
	// Role overrides the role's key, for a token whose role is out of date. Defaults to the user's
	// own; then the user has to be a member.
	Role string
	// SessionID is the sid. Defaults to a new one.
	SessionID string
	// IssuedAt is the iat. Defaults to the world's clock.
	IssuedAt time.Time
	// Lifetime is exp minus iat; a negative one makes an expired token. Defaults to 60 s.
	Lifetime time.Duration
	// Status is the sts. Defaults to "active"; the other one that Clerk knows is "pending".
	Status string
	// Issuer overrides the iss.
	Issuer string
	// AuthorizedParty overrides the azp; OmitAuthorizedParty leaves it out, as native applications
	// do.
	AuthorizedParty     string
	OmitAuthorizedParty bool
	// OmitExpiry, OmitSubject and OmitStatus leave out exp, sub and sts.
	OmitExpiry, OmitSubject, OmitStatus bool
	// Claims are set last: each replaces the claim of its name, and nil removes it. They make the
	// tokens that an instance signs for other purposes.
	Claims map[string]any
	// KeyID overrides the kid in the header, not the key.
	KeyID string
	// Forgery makes a token that this world didn't issue. Defaults to Genuine.
	Forgery Forgery
}

// SessionToken makes a session token for a user, who need not exist: a token outlives its user. Its
// role and permissions are those of the token's time. It fails with [ErrNotFound] if the user isn't
// a member of the organization and no Role is given.
func (w *World) SessionToken(userID string, options TokenOptions) (string, error) {
	claims, err := w.claims(userID, options)
	if err != nil {
		return "", fmt.Errorf("make session token: %w", err)
	}
	key, keyID, err := w.keys.current()
	if err != nil {
		return "", fmt.Errorf("make session token: %w", err)
	}
	if options.KeyID != "" {
		keyID = options.KeyID
	}
	maps.Copy(claims, options.Claims)
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
	token, err := options.Forgery.sign(key, keyID, claims)
	if err != nil {
		return "", fmt.Errorf("sign session token: %w", err)
	}
	return token, nil
}

func (w *World) claims(userID string, o TokenOptions) (map[string]any, error) {
	o = w.tokenDefaults(o)
	claims := map[string]any{
		"sub": userID,
		"sid": o.SessionID,
		"iss": o.Issuer,
		"azp": o.AuthorizedParty,
		"iat": o.IssuedAt.Unix(),
		"nbf": o.IssuedAt.Add(-notBeforeMargin).Unix(),
		"exp": o.IssuedAt.Add(o.Lifetime).Unix(),
		"sts": o.Status,
		"fva": [2]int{0, -1}, // minutes since the first factor was verified; never a second
	}
	for name, omitted := range map[string]bool{
		"azp": o.OmitAuthorizedParty, "exp": o.OmitExpiry, "sub": o.OmitSubject, "sts": o.OmitStatus,
	} {
		if omitted {
			delete(claims, name)
		}
	}
	if o.Version == TokenV2 {
		claims["v"] = 2
	}
	if o.OrganizationID == "" {
		return claims, nil
	}
	return claims, w.addOrganizationClaims(claims, userID, o)
}

func (w *World) tokenDefaults(o TokenOptions) TokenOptions {
	if o.Version == 0 {
		o.Version = TokenV2
	}
	if o.SessionID == "" {
		o.SessionID = w.keys.newID("sess_")
	}
	if o.IssuedAt.IsZero() {
		o.IssuedAt = w.cfg.Now()
	}
	if o.Lifetime == 0 {
		o.Lifetime = tokenLife
	}
	if o.Status == "" {
		o.Status = "active"
	}
	if o.Issuer == "" {
		o.Issuer = w.cfg.Issuer
	}
	if o.AuthorizedParty == "" {
		o.AuthorizedParty = w.cfg.AuthorizedParty
	}
	return o
}

func (w *World) addOrganizationClaims(claims map[string]any, userID string, o TokenOptions) error {
	w.mu.RLock()
	defer w.mu.RUnlock()
	roleKey := o.Role
	if roleKey == "" {
		m, err := w.findMembership(o.OrganizationID, userID)
		if err != nil {
			return err
		}
		roleKey = m.role.Key
	}
	var permissions []string
	if r := w.roleByKey(roleKey); r != nil {
		permissions = customPermissions(r)
	}
	slug := ""
	if organization, ok := w.organizations.find(o.OrganizationID); ok {
		slug = organization.Slug
	}
	if o.Version == TokenV1 {
		addV1(claims, o.OrganizationID, slug, w.wireRole(roleKey), permissions)
	} else {
		addV2(claims, o.OrganizationID, slug, w.wireRole(roleKey), permissions)
	}
	return nil
}

// customPermissions are the permissions of a token: never Clerk's own.
func customPermissions(r *role) []string {
	custom := []string{}
	for _, key := range r.permissionKeys() {
		if !strings.HasPrefix(key, sysPrefix) {
			custom = append(custom, key)
		}
	}
	return custom
}
