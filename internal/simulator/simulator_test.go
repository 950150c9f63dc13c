package simulator_test

import (
	"context"
	"encoding/base64"
	"iter"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/simulator"
	"github.com/callmine/rolecall/internal/svixsim"
	"github.com/callmine/rolecall/internal/testlog"
)

func decode64(t *testing.T, text string) []byte {
	t.Helper()
	decoded, err := base64.RawURLEncoding.DecodeString(text)
	require.NoError(t, err)
	return decoded
}

func keysOf(answer map[string]any) iter.Seq[string] { return maps.Keys(answer) }

func TestStart_EverythingFollowsFromTheSeed(t *testing.T) {
	t.Parallel()
	first, again := start(t, simulator.Config{Seed: 7}), start(t, simulator.Config{Seed: 7})
	key, err := anyKey() // the key of another seed takes its time, and has its own test
	require.NoError(t, err)
	other := start(t, simulator.Config{Seed: 8, World: clerksim.Config{SigningKey: key}})
	describe := func(s *simulator.Simulator) []string {
		keys, err := s.World().KeySet()
		require.NoError(t, err)
		key, err := keys.Keys[0].MarshalJSON()
		require.NoError(t, err)
		return []string{s.World().SecretKey(), s.World().InstanceID(), s.WebhookSecret(), string(key)}
	}
	require.Equal(t, describe(first), describe(again))
	for i, value := range describe(other) {
		require.NotEqual(t, describe(first)[i], value)
	}
}

func TestStart_RefusesWhatCantWork(t *testing.T) {
	t.Parallel()
	key, err := anyKey()
	require.NoError(t, err)
	for says, cfg := range map[string]simulator.Config{
		"listen at 192.0.2.1:1": {Listen: "192.0.2.1:1", World: clerksim.Config{SigningKey: key}},
		"invalid Issuer":        {World: clerksim.Config{Issuer: "nowhere", SigningKey: key}},
		"invalid URL":           {Endpoints: []svixsim.Endpoint{{URL: "nowhere"}}, World: clerksim.Config{SigningKey: key}},
		"signing secret":        {WebhookSecret: "whsec_", World: clerksim.Config{SigningKey: key}},
	} {
		_, err = simulator.Start(t.Context(), cfg)
		require.ErrorContains(t, err, says)
	}
}

// TestURL_IsOneThatOthersCanUse, also if the simulator listens on all addresses.
func TestURL_IsOneThatOthersCanUse(t *testing.T) {
	t.Parallel()
	s := start(t, simulator.Config{Listen: "0.0.0.0:0"})
	require.Regexp(t, `^http://127\.0\.0\.1:\d+$`, s.URL())
	status, _ := call(t, http.MethodGet, s.URL()+"/simulator/state", "")
	require.Equal(t, http.StatusOK, status)
	s = start(t, simulator.Config{Listen: "[::]:0", Hosts: []string{"clerk", "other"}})
	require.Regexp(t, `^http://clerk:\d+$`, s.URL())
}

// TestStart_WarnsOfOtherMachines, since whoever reaches it may do everything.
func TestStart_WarnsOfOtherMachines(t *testing.T) {
	t.Parallel()
	for listen, warns := range map[string]bool{"0.0.0.0:0": true, "[::]:0": true, "": false, "localhost:0": false} {
		log := &testlog.Lines{}
		start(t, simulator.Config{Listen: listen, Logger: log.Logger()})
		require.Equal(t, warns, strings.Contains(log.String(), "open to other machines"), listen)
	}
}

// TestWebhooks_ShowEachAttempt, as soon as the change is made.
func TestWebhooks_ShowEachAttempt(t *testing.T) {
	t.Parallel()
	s := start(t, simulator.Config{})
	user, err := s.World().CreateUser(clerksim.NewUser{})
	require.NoError(t, err)
	organization, err := s.World().CreateOrganization(clerksim.NewOrganization{CreatedBy: user.ID})
	require.NoError(t, err)
	found := s.Webhooks()
	require.Len(t, found, 3, "also before there is an endpoint")
	require.Equal(t, simulator.Waiting, found[0].Outcome)
	require.NoError(t, s.Settle(t.Context()), "nothing to wait for")
	require.Equal(t, "organizationMembership.created", found[0].Type)
	require.Equal(t, user.ID, found[0].UserID)
	require.Equal(t, organization.ID, found[0].OrganizationID)
	require.Equal(t, organization.ID, found[1].OrganizationID)
	require.Equal(t, user.ID, found[2].UserID)

	r := newReceiver(t, s.WebhookSecret())
	r.answer(http.StatusInternalServerError)
	changed := s.Changed()
	require.NoError(t, s.SendTo(r.endpoint()))
	<-changed
	for {
		changed := s.Changed()
		found := s.Webhooks()
		if !slices.ContainsFunc(found, func(w simulator.Webhook) bool { return len(w.Attempts) == 0 }) {
			require.Equal(t, simulator.Waiting, found[2].Outcome, "a retry is due")
			require.Equal(t, 500, found[2].Attempts[0].Status)
			require.Positive(t, found[2].Attempts[0].Took)
			break
		}
		<-changed
	}
	for range 40 {
		delivered, missed, err := s.Recover(t.Context())
		require.NoError(t, err)
		require.Equal(t, []int{0, 3}, []int{delivered, missed})
	}
	require.Len(t, s.Webhooks()[2].Attempts, 30, "the last ones are kept")
	r.answer(http.StatusNoContent)
	delivered, missed, err := s.Recover(t.Context())
	require.NoError(t, err)
	require.Equal(t, []int{3, 0}, []int{delivered, missed})
	require.Equal(t, simulator.Delivered, s.Webhooks()[2].Outcome)
}

// TestWebhooks_NamesWhomAnInvitationConcerns, whichever form its body has.
func TestWebhooks_NamesWhomAnInvitationConcerns(t *testing.T) {
	t.Parallel()
	s := start(t, simulator.Config{})
	cast, err := s.Populate()
	require.NoError(t, err)
	northwind, _ := cast.Workspace("northwind")
	for _, webhook := range s.Webhooks() {
		if webhook.Type == "organizationInvitation.created" {
			require.NotEmpty(t, webhook.OrganizationID)
		}
		if webhook.Type == "organization.created" {
			require.Equal(t, webhook.ObjectID, webhook.OrganizationID)
		}
	}
	require.Contains(t, northwind.ID, "org_")
}

func TestWebhooks_AreBounded(t *testing.T) {
	t.Parallel()
	s := start(t, simulator.Config{})
	var last clerksim.User
	for range 600 {
		user, err := s.World().CreateUser(clerksim.NewUser{})
		require.NoError(t, err)
		last = user
	}
	require.Len(t, s.Webhooks(), 500)
	require.Equal(t, last.ID, s.Webhooks()[0].ObjectID)
}

// TestSettle_EndsWithItsContext, and says how many webhooks wait.
func TestSettle_EndsWithItsContext(t *testing.T) {
	t.Parallel()
	s := start(t, simulator.Config{})
	require.NoError(t, s.Switch(simulator.Switches{Delay: time.Minute}))
	require.NoError(t, s.SendTo(newReceiver(t, s.WebhookSecret()).endpoint()))
	for range 600 {
		_, err := s.World().CreateUser(clerksim.NewUser{})
		require.NoError(t, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorContains(t, s.Settle(ctx), "600 webhooks still wait", "also those that aren't shown any more")
}

func TestSwitch_NamesABadValue(t *testing.T) {
	t.Parallel()
	s := start(t, simulator.Config{})
	require.ErrorContains(t, s.Switch(simulator.Switches{Delay: -1, Drop: true}), "-1ns")
	require.Zero(t, s.Switches(), "nothing changed")
	changed := s.Changed()
	all := simulator.Switches{Delay: time.Second, Drop: true, Repeat: true, Reorder: true, EndpointDisabled: true, ClerkDown: true}
	require.NoError(t, s.SendTo(newReceiver(t, s.WebhookSecret()).endpoint()))
	require.NoError(t, s.Switch(all))
	<-changed
	require.Equal(t, all, s.Switches())
}

// TestClose_EndsWhatWaits at once: webhooks, and callers that wait for them.
func TestClose_EndsWhatWaits(t *testing.T) {
	t.Parallel()
	s := start(t, simulator.Config{})
	r := newReceiver(t, s.WebhookSecret())
	require.NoError(t, s.SendTo(r.endpoint()))
	require.NoError(t, s.Switch(simulator.Switches{Delay: time.Minute}))
	_, err := s.World().CreateUser(clerksim.NewUser{})
	require.NoError(t, err)
	settled := make(chan error)
	go func() { settled <- s.Settle(context.WithoutCancel(t.Context())) }()
	s.StopSending()
	s.StopSending()
	require.ErrorContains(t, <-settled, "has stopped sending")
	require.ErrorContains(t, s.Settle(t.Context()), "has stopped sending")
	require.NoError(t, s.Switch(simulator.Switches{}))
	require.Empty(t, r.take(t))
}
