package demo

import (
	"encoding/binary"
	mathrand "math/rand/v2"

	"github.com/callmine/rolecall/api/auth"
	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/internal/simulator"
)

// secrets follow from a seed, so that they are the same at each start: what one's own application
// was configured with stays valid. Everybody who knows the seed knows them.
type secrets struct {
	serviceToken string
	serviceHash  string
}

func newSecrets(seed uint64) (s secrets, err error) {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	s.serviceToken, s.serviceHash, err = auth.NewServiceToken(mathrand.NewChaCha8(key))
	return s, err
}

// clerkRate is the number of calls per second to the simulated Clerk, which has no limit.
const clerkRate = 100

// configure sets what the service needs to know of the simulated Clerk. What the settings say of
// another Clerk no longer counts.
func (s secrets) configure(cfg *config.Config, sim *simulator.Simulator) {
	clerk := sim.World()
	cfg.JWKSURL, cfg.APIURL = sim.URL()+"/.well-known/jwks.json", sim.URL()+"/v1"
	cfg.Issuer, cfg.InstanceID = clerk.Issuer(), clerk.InstanceID()
	cfg.AuthorizedParties = []string{clerk.AuthorizedParty()}
	cfg.SignInURL, cfg.PublicURL = "", "" // the other one's pages, and where its mirror is
	cfg.SecretKey, cfg.ClerkRate, cfg.ClerkReadOnly = clerk.SecretKey(), clerkRate, false
	cfg.MaxRemovalRatio = 1 // in so small a world, each removal is many
	cfg.SigningSecrets = []string{sim.WebhookSecret()}
	cfg.ServiceTokens = "dev:" + s.serviceHash + "/scopes=authorize+read+commands+audit:append"
}
