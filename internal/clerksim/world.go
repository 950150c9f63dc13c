package clerksim

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// The streams of randomness that one seed feeds. Tokens have their own, so that a token doesn't
// change later ids.
const (
	streamWorld  = 1
	streamTokens = 2
)

// World is one simulated Clerk instance: its objects, its outbox of webhook messages, and its keys.
// Make one with [New]. All methods are safe for concurrent use; for a repeatable result, calls have
// to be made in one order.
type World struct {
	cfg  Config
	keys *keyring

	listings atomic.Uint64 // counts lists, for [Config.UnstableTies]
	readings atomic.Uint64 // of the clocks, for [Config.Clocks]

	mu            sync.RWMutex
	rng           *rand.Rand
	sequence      uint64 // of rows, in order of creation; breaks ties of created_at in listings
	users         table[*user]
	organizations table[*organization]
	memberships   table[*membership]
	roles         table[*role]
	permissions   table[*permission]
	invitations   table[*invitation]
	domains       table[*domain]
	roleSets      table[*roleSet]
	sessions      table[*session]
	plans         []*plan
	features      map[Feature]bool
	slugs         map[string]*organization
	goneUsers     map[string]User
	goneOrgs      map[string]Organization
	usersMade     int // numbers the invented names
	orgsMade      int

	outbox outbox
}

// New makes a world without users that has the default roles [RoleAdmin] and [RoleMember] with the
// system permissions. Making these emits no messages. An error names each invalid field of cfg.
func New(cfg Config) (*World, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("configure simulator: %w", err)
	}
	w := &World{
		cfg:           cfg,
		rng:           rand.New(rand.NewPCG(cfg.Seed, streamWorld)),
		users:         newTable[*user](),
		organizations: newTable[*organization](),
		memberships:   newTable[*membership](),
		roles:         newTable[*role](),
		permissions:   newTable[*permission](),
		invitations:   newTable[*invitation](),
		domains:       newTable[*domain](),
		roleSets:      newTable[*roleSet](),
		sessions:      newTable[*session](),
		features:      map[Feature]bool{FeatureOrganizations: true, FeatureDomains: true},
		slugs:         make(map[string]*organization),
		goneUsers:     make(map[string]User),
		goneOrgs:      make(map[string]Organization),
		outbox:        newOutbox(),
	}
	if w.cfg.InstanceID == "" {
		w.cfg.InstanceID = newID(w.rng, "ins_")
	}
	if w.cfg.SecretKey == "" {
		w.cfg.SecretKey = newID(w.rng, "sk_test_")
	}
	w.keys = newKeyring(cfg.SigningKey, rand.New(rand.NewPCG(cfg.Seed, streamTokens)))
	w.addSystemRoles()
	if !w.cfg.Legacy {
		w.addDefaultRoleSet()
	}
	return w, nil
}

// InstanceID returns the id of the instance, "ins_" and 27 characters unless it was configured.
func (w *World) InstanceID() string { return w.cfg.InstanceID }

// SecretKey returns the bearer token that the Backend API demands.
func (w *World) SecretKey() string { return w.cfg.SecretKey }

// PublishableKey returns the key that names the instance to browsers: the issuer's host in base64,
// as Clerk's own libraries read it.
func (w *World) PublishableKey() string {
	prefix := "pk_test_"
	if w.cfg.EnvironmentType == "production" {
		prefix = "pk_live_"
	}
	_, host, _ := strings.Cut(w.cfg.Issuer, "://")
	return prefix + base64.StdEncoding.EncodeToString([]byte(host+"$"))
}

// Issuer returns the iss that session tokens carry.
func (w *World) Issuer() string { return w.cfg.Issuer }

// AuthorizedParty returns the azp that session tokens carry unless told otherwise.
func (w *World) AuthorizedParty() string { return w.cfg.AuthorizedParty }

// now is the time in the resolution that Clerk stores.
func (w *World) now() time.Time {
	at := w.cfg.Now().UTC()
	if n := uint64(len(w.cfg.Clocks)); n > 0 {
		const scatter = 0x9e3779b97f4a7c15 // 2^64 ÷ the golden ratio: neighbours end far apart
		at = at.Add(w.cfg.Clocks[w.readings.Add(1)*scatter>>33%n])
	}
	return at.Truncate(time.Millisecond)
}

// newEntry makes the identity of a row that is created at the given time.
func (w *World) newEntry(prefix string, at time.Time) entry {
	w.sequence++
	return entry{id: newID(w.rng, prefix), createdAt: at.UnixMilli(), sequence: w.sequence}
}
