package clerksim

import (
	"crypto/rsa"
	"errors"
	"fmt"
	"net/url"
	"time"
)

// minKeyBits is the least an RSA key may have for RS256 (RFC 7518, section 3.3).
const minKeyBits = 2048

// Config describes a [World]. Its zero value is usable: a new instance with the default roles and
// without users.
type Config struct {
	// Seed decides every id and every accidental detail of the bodies. Two worlds with one seed,
	// one clock and the same calls are equal. Defaults to 0.
	Seed uint64

	// Now is the world's clock. created_at and updated_at are its milliseconds, so a clock that
	// stands still gives several changes one updated_at. Defaults to time.Now.
	Now func() time.Time

	// Clocks are the errors of the clocks of Clerk's machines. Each instant is read from one of
	// them, in a fixed but irregular order, so that the dates of two changes may contradict their
	// order. Defaults to one clock that is right.
	Clocks []time.Duration

	// InstanceID is the id that envelopes, and GET /v1/instance, carry. Defaults to one made from
	// the seed.
	InstanceID string

	// EnvironmentType is the kind of instance, "development" or "production". Defaults to
	// "development".
	EnvironmentType string

	// SecretKey is the bearer token that the Backend API demands. Defaults to one made from the
	// seed; see [World.SecretKey].
	SecretKey string

	// Issuer is the iss of session tokens, an absolute URL. Defaults to
	// "https://clerk.callmine.test".
	Issuer string

	// AuthorizedParty is the azp of session tokens. Defaults to "https://app.callmine.test".
	AuthorizedParty string

	// SigningKey signs session tokens. Making one takes a tenth of a second, so tests that need
	// many worlds share one from [NewSigningKey]. One from [SigningKeyFromSeed] makes tokens that
	// are still valid after a restart. Defaults to a new key at the first token or key set asked
	// for.
	SigningKey *rsa.PrivateKey

	// MembershipEventsOnDelete also emits one organizationMembership.deleted for each membership
	// that ends with a deleted organization or user, before the parent's own event. Clerk doesn't
	// document this. Defaults to false, the harder case.
	MembershipEventsOnDelete bool

	// InvitationsWithoutUser leaves user_id out of organizationInvitation.accepted, like Clerk
	// before September 2025: then only organizationMembership.created names the new member.
	// Defaults to false.
	InvitationsWithoutUser bool

	// LooseTimestamps draws every envelope timestamp on its own. For two changes of one object
	// within one millisecond of updated_at, the timestamps may then contradict the order of the
	// changes, which no delivery shows. Defaults to false: the timestamps of one object's events
	// increase.
	LooseTimestamps bool

	// UnstableTies orders objects of one millisecond differently in each list that is ordered by
	// created_at, as a database may. Pages by offset then repeat some of them and skip others,
	// although nothing changed. The list of users keeps one order, because its cursor needs it.
	// Defaults to false: the order of creation.
	UnstableTies bool

	// Legacy makes an instance from before roles were configurable: bodies and tokens say "admin"
	// and "basic_member" for [RoleAdmin] and [RoleMember], and envelopes have no instance_id.
	// Invitations have no url, inviter or accepting user in their bodies, and by default never
	// expire. Method arguments and the [Directory] keep the modern keys. Defaults to false.
	Legacy bool
}

func (c Config) withDefaults() Config {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.EnvironmentType == "" {
		c.EnvironmentType = "development"
	}
	if c.Issuer == "" {
		c.Issuer = "https://clerk.callmine.test"
	}
	if c.AuthorizedParty == "" {
		c.AuthorizedParty = "https://app.callmine.test"
	}
	return c
}

func (c Config) validate() error {
	var errs []error
	if c.EnvironmentType != "development" && c.EnvironmentType != "production" {
		errs = append(errs, fmt.Errorf("unknown EnvironmentType %q, want development or production", c.EnvironmentType))
	}
	if issuer, err := url.Parse(c.Issuer); err != nil || !issuer.IsAbs() || issuer.Host == "" {
		errs = append(errs, fmt.Errorf("invalid Issuer %q, want an absolute URL", c.Issuer))
	}
	if c.SigningKey != nil && c.SigningKey.N.BitLen() < minKeyBits {
		errs = append(errs, fmt.Errorf("too short a SigningKey, want at least %d bits", minKeyBits))
	}
	return errors.Join(errs...)
}
