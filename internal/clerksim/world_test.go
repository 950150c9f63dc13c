package clerksim_test

import (
	"encoding/base64"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerksim"
)

// live makes the same small history in any world.
func live(t *testing.T, w *clerksim.World, c *clock) {
	t.Helper()
	ada := createUser(t, w, clerksim.NewUser{})
	bo := createUser(t, w, clerksim.NewUser{Phone: "+15555550101"})
	c.advance(time.Second)
	o := createOrganization(t, w, ada.ID)
	_, err := w.AddMember(o.ID, bo.ID, "")
	require.NoError(t, err)
	c.advance(time.Second)
	require.NoError(t, w.RemoveMember(o.ID, bo.ID))
}

func TestWorld_IsAFunctionOfItsSeed(t *testing.T) {
	t.Parallel()
	outcome := func(seed uint64) ([]clerksim.Message, clerksim.Directory) {
		w, c := newWorld(t, clerksim.Config{Seed: seed})
		live(t, w, c)
		return w.Drain(), w.Directory()
	}
	messages, directory := outcome(7)
	again, sameDirectory := outcome(7)
	require.Equal(t, messages, again)
	require.Equal(t, directory, sameDirectory)
	other, _ := outcome(8)
	require.NotEqual(t, messages, other)
}

func TestWorld_TokensAndReadsChangeNothingLater(t *testing.T) {
	t.Parallel()
	plain, c1 := newWorld(t, clerksim.Config{})
	live(t, plain, c1)
	busy, c2 := newWorld(t, clerksim.Config{SigningKey: sharedKeys()[0]})
	_, err := busy.SessionToken("user_any", clerksim.TokenOptions{})
	require.NoError(t, err)
	callAPI(t, busy, "/v1/users", nil)
	live(t, busy, c2)
	require.Equal(t, plain.Drain(), busy.Drain())
}

func TestWorld_IDsLookLikeClerks(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, clerksim.Config{})
	u := createUser(t, w, clerksim.NewUser{})
	o := createOrganization(t, w, u.ID)
	m, ok := w.Membership(o.ID, u.ID)
	require.True(t, ok)
	r, ok := w.Role(clerksim.RoleAdmin)
	require.True(t, ok)
	p, err := w.CreatePermission("org:invoices:create", "")
	require.NoError(t, err)
	for prefix, id := range map[string]string{
		"user": u.ID, "org": o.ID, "orgmem": m.ID, "role": r.ID, "perm": p.ID, "idn": u.PrimaryEmailID,
		"msg": w.Drain()[0].ID, "ins": w.InstanceID(), "sk_test": w.SecretKey(),
	} {
		require.Regexp(t, "^"+prefix+"_[0-9A-Za-z]{27}$", id)
	}
}

// flip changes one user n times while the clock stands still.
func flip(t *testing.T, w *clerksim.World, n int) []clerksim.Message {
	t.Helper()
	u := createUser(t, w, clerksim.NewUser{})
	w.Drain()
	for i := range n {
		_, err := w.UpdateUser(u.ID, clerksim.UserUpdate{FirstName: new(fmt.Sprint(i))})
		require.NoError(t, err)
	}
	return w.Drain()
}

func TestWorld_ChangesOfOneMillisecondShareUpdatedAt(t *testing.T) {
	t.Parallel()
	w, c := newWorld(t, clerksim.Config{})
	messages := flip(t, w, 20)
	require.Len(t, messages, 20)
	var last time.Time
	for _, m := range messages {
		body := decode(t, m.Body)
		require.Equal(t, c.Now().UnixMilli(), number(t, body.at(t, "data")["updated_at"]))
		require.Equal(t, m.OccurredAt.UnixMilli(), number(t, body["timestamp"]))
		require.True(t, m.OccurredAt.After(last), "the timestamps of one object increase")
		last = m.OccurredAt
	}
}

func TestWorld_LooseTimestampsMayContradictTheOrder(t *testing.T) {
	t.Parallel()
	w, c := newWorld(t, clerksim.Config{LooseTimestamps: true})
	inversions := 0
	var last time.Time
	for _, m := range flip(t, w, 20) {
		lag := m.OccurredAt.Sub(c.Now())
		require.Positive(t, lag)
		require.LessOrEqual(t, lag, 20*time.Millisecond)
		if m.OccurredAt.Before(last) {
			inversions++
		}
		last = m.OccurredAt
	}
	require.Positive(t, inversions)
}

func TestWorld_MutedChangesAreNeverSent(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, clerksim.Config{})
	w.Mute()
	u := createUser(t, w, clerksim.NewUser{})
	w.Unmute()
	require.Empty(t, w.Drain())
	_, err := w.BanUser(u.ID)
	require.NoError(t, err)
	require.Equal(t, []string{"user.updated"}, types(w.Drain()))
	require.Empty(t, w.Drain(), "draining takes")
}

func TestFilled_SignalsAMessage(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, clerksim.Config{})
	require.Empty(t, w.Filled())
	require.NoError(t, w.Emit("session.created", "sess_1", map[string]any{"object": "session", "id": "sess_1"}))
	<-w.Filled()
	messages := w.Drain()
	require.Len(t, messages, 1)
	require.Equal(t, "sess_1", decode(t, messages[0].Body).at(t, "data")["id"])
	require.Error(t, w.Emit("session.created", "sess_2", make(chan int)))
}

func TestWorld_TakesConcurrentCalls(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, clerksim.Config{})
	admin := createUser(t, w, clerksim.NewUser{})
	o := createOrganization(t, w, admin.ID)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				u, err := w.CreateUser(clerksim.NewUser{})
				if err == nil {
					_, err = w.AddMember(o.ID, u.ID, "")
				}
				if err == nil {
					_, err = w.SetRole(o.ID, u.ID, clerksim.RoleAdmin)
				}
				if err != nil {
					t.Errorf("change the world: %v", err)
				}
				w.Directory()
			}
		})
	}
	wg.Wait()
	require.Len(t, w.Directory().Memberships(), 161)
	require.Len(t, w.Drain(), 3+8*20*3)
}

func TestConfig_NamesEachInvalidField(t *testing.T) {
	t.Parallel()
	_, err := clerksim.New(clerksim.Config{EnvironmentType: "staging", Issuer: "clerk"})
	require.ErrorContains(t, err, "EnvironmentType")
	require.ErrorContains(t, err, "Issuer")
}

// TestWorld_PublishableKeyNamesTheIssuer, in the form that Clerk's libraries read.
func TestWorld_PublishableKeyNamesTheIssuer(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, clerksim.Config{})
	require.Equal(t, "pk_test_"+base64.StdEncoding.EncodeToString([]byte("clerk.callmine.test$")), w.PublishableKey())
	live, _ := newWorld(t, clerksim.Config{EnvironmentType: "production", Issuer: "http://127.0.0.1:8081"})
	require.Equal(t, "pk_live_"+base64.StdEncoding.EncodeToString([]byte("127.0.0.1:8081$")), live.PublishableKey())
}
