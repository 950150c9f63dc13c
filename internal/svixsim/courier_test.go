package svixsim_test

import (
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	svix "github.com/svix/svix-webhooks/go"

	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/svixsim"
)

const someURL = "http://receiver.callmine.test/webhooks"

// received is one request as the receiver saw it.
type received struct {
	header http.Header
	body   []byte
	at     time.Time
}

func (r received) id() string { return r.header.Get("svix-id") }

// inbox is a receiver that answers with one status after the other, and with the last one for ever.
type inbox struct {
	mu       sync.Mutex
	statuses []int
	got      []received
}

func (b *inbox) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.got = append(b.got, received{header: req.Header.Clone(), body: body, at: time.Now()})
	status := http.StatusNoContent
	if len(b.statuses) > 0 {
		status = b.statuses[0]
		if len(b.statuses) > 1 {
			b.statuses = b.statuses[1:]
		}
	}
	if status == http.StatusFound {
		w.Header().Set("Location", "/elsewhere")
	}
	w.WriteHeader(status)
}

// answer makes the inbox answer with one status from now on.
func (b *inbox) answer(status int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.statuses = []int{status}
}

func (b *inbox) all() []received {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]received(nil), b.got...)
}

func (b *inbox) ids() []string {
	var all []string
	for _, r := range b.all() {
		all = append(all, r.id())
	}
	return all
}

func newSecrets(n int) []string {
	rng := rand.New(rand.NewPCG(1, 1))
	secrets := make([]string, n)
	for i := range secrets {
		secrets[i] = svixsim.NewSecret(rng)
	}
	return secrets
}

// newCourier makes a courier to handler, without a network. With no endpoints it gets one with one
// secret.
func newCourier(t *testing.T, handler http.Handler, cfg svixsim.CourierConfig) *svixsim.Courier {
	t.Helper()
	if cfg.Endpoints == nil {
		cfg.Endpoints = []svixsim.Endpoint{{URL: someURL, Secrets: newSecrets(1)}}
	}
	if cfg.Transport == nil {
		cfg.Transport = inProcess{handler}
	}
	courier, err := svixsim.NewCourier(cfg)
	require.NoError(t, err)
	t.Cleanup(courier.Close)
	return courier
}

func message(id string) clerksim.Message {
	return clerksim.Message{ID: id, Type: "user.updated", Body: []byte(`{"data":{},"type":"user.updated"}`)}
}

func messages(n int) []clerksim.Message {
	all := make([]clerksim.Message, n)
	for i := range all {
		all[i] = message("msg_" + strconv.Itoa(i))
	}
	return all
}

func TestSecret_HasSvixsForm(t *testing.T) {
	t.Parallel()
	secrets := newSecrets(2)
	require.NotEqual(t, secrets[0], secrets[1])
	for _, secret := range secrets {
		require.Regexp(t, `^whsec_[0-9A-Za-z+/]{32}$`, secret, "24 bytes need no padding")
		_, err := svix.NewWebhook(secret)
		require.NoError(t, err)
	}
}

func TestSignature_MatchesPublishedVectors(t *testing.T) {
	t.Parallel()
	for _, vector := range []struct {
		secret, id, body, signature string
		timestamp                   int64
	}{
		{
			"whsec_plJ3nmyCDGBKInavdOK15jsl", "msg_loFOjxBNrRLzqYUf", `{"event_type":"ping","data":{"success":true}}`,
			"v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0=", 1731705121,
		},
		{
			"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", `{"test": 2432232314}`,
			"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", 1614265330,
		},
	} {
		box := &inbox{}
		courier := newCourier(t, box, svixsim.CourierConfig{
			Endpoints: []svixsim.Endpoint{{URL: someURL, Secrets: []string{vector.secret}}},
			Now:       func() time.Time { return time.Unix(vector.timestamp, 999) },
		})
		_, err := courier.Send(t.Context(), clerksim.Message{ID: vector.id, Body: []byte(vector.body)})
		require.NoError(t, err)
		got := box.all()[0]
		require.Equal(t, vector.signature, got.header.Get("svix-signature"))
		require.Equal(t, strconv.FormatInt(vector.timestamp, 10), got.header.Get("svix-timestamp"))
		require.Equal(t, vector.body, string(got.body))
	}
}

func TestSend_OverRealHTTP(t *testing.T) {
	t.Parallel()
	box := &inbox{}
	server := httptest.NewServer(box)
	defer server.Close()
	secret := newSecrets(1)[0]
	courier, err := svixsim.NewCourier(svixsim.CourierConfig{
		Endpoints: []svixsim.Endpoint{{URL: server.URL, Secrets: []string{secret}}},
	})
	require.NoError(t, err)
	defer courier.Close()
	world := newWorld(t)
	createUser(t, world)
	sent := world.Drain()[0]
	result, err := courier.Send(t.Context(), sent)
	require.NoError(t, err)
	require.Equal(t, svixsim.Delivered, result.Outcome)
	require.Equal(t, http.StatusNoContent, result.Attempts[0].Status)

	got := box.all()[0]
	verifier, err := svix.NewWebhook(secret)
	require.NoError(t, err)
	require.NoError(t, verifier.Verify(got.body, got.header))
	require.Equal(t, sent.Body, got.body)
	require.Equal(t, sent.ID, got.id())
	require.Equal(t, "application/json", got.header.Get("Content-Type"))
}

func TestSignature_OneForEachSecret(t *testing.T) {
	t.Parallel()
	box := &inbox{}
	secrets := newSecrets(2)
	courier := newCourier(t, box, svixsim.CourierConfig{Endpoints: []svixsim.Endpoint{{URL: someURL, Secrets: secrets}}})
	_, err := courier.Send(t.Context(), message("msg_1"))
	require.NoError(t, err)
	require.Len(t, box.all(), 1)
	got := box.all()[0]
	require.Len(t, strings.Split(got.header.Get("svix-signature"), " "), 2)
	for _, secret := range secrets {
		verifier, err := svix.NewWebhook(secret)
		require.NoError(t, err)
		require.NoError(t, verifier.Verify(got.body, got.header))
	}
}

func TestEndpoint_TwoWithOneURLShareTheID(t *testing.T) {
	t.Parallel()
	box := &inbox{statuses: []int{401, 204}}
	secrets := newSecrets(2)
	courier := newCourier(t, box, svixsim.CourierConfig{Endpoints: []svixsim.Endpoint{
		{URL: someURL, Secrets: secrets[:1]}, {URL: someURL, Secrets: secrets[1:]},
	}})
	result, err := courier.Send(t.Context(), message("msg_1"))
	require.NoError(t, err)
	require.Equal(t, svixsim.Failed, result.Outcome, "one of two isn't enough")
	require.Equal(t, 0, result.Attempts[0].Endpoint)
	require.Equal(t, 1, result.Attempts[1].Endpoint)
	require.Equal(t, []string{"msg_1", "msg_1"}, box.ids())
	for i, got := range box.all() {
		verifier, err := svix.NewWebhook(secrets[i])
		require.NoError(t, err)
		require.NoError(t, verifier.Verify(got.body, got.header))
	}
}

func TestSend_Only2xxAcknowledges(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]svixsim.Outcome{
		200: svixsim.Delivered, 202: svixsim.Delivered, 302: svixsim.Failed, 400: svixsim.Failed, 503: svixsim.Failed,
	} {
		box := &inbox{statuses: []int{status}}
		courier := newCourier(t, box, svixsim.CourierConfig{})
		result, err := courier.Send(t.Context(), message("msg_1"))
		require.NoError(t, err)
		require.Equal(t, want, result.Outcome, "%d", status)
		require.Len(t, box.all(), 1, "no retry and no redirect")
	}
}

func TestSend_AnswerAfter15SecondsIsNone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		slow := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			<-req.Context().Done()
			w.WriteHeader(http.StatusOK)
		})
		courier := newCourier(t, slow, svixsim.CourierConfig{})
		began := time.Now()
		result, err := courier.Send(t.Context(), message("msg_1"))
		require.NoError(t, err)
		require.Equal(t, svixsim.Failed, result.Outcome)
		require.Error(t, result.Attempts[0].Err)
		require.Equal(t, 15*time.Second, time.Since(began))
	})
}

func TestEndpoint_DisabledGetsNothing(t *testing.T) {
	t.Parallel()
	box := &inbox{}
	courier := newCourier(t, box, svixsim.CourierConfig{})
	courier.Disable(0)
	results, err := courier.Play(t.Context(), svixsim.InOrder(message("msg_1")))
	require.NoError(t, err)
	require.Equal(t, svixsim.Disabled, results[0].Outcome)
	sent, err := courier.Send(t.Context(), message("msg_1"))
	require.NoError(t, err)
	require.Equal(t, svixsim.Disabled, sent.Outcome)
	require.Empty(t, box.all())
	courier.Enable(0)
	_, err = courier.Send(t.Context(), message("msg_2"))
	require.NoError(t, err)
	require.Equal(t, []string{"msg_2"}, box.ids())
}

func TestEndpoint_DisableHeaderTurnsItOff(t *testing.T) {
	t.Parallel()
	courier := newCourier(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("webhook-delivery", "disable")
	}), svixsim.CourierConfig{})
	_, err := courier.Send(t.Context(), message("msg_1"))
	require.NoError(t, err)
	require.True(t, courier.Disabled(0))
}

func TestEndpoint_FiveDaysOfFailuresDisableSilently(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		box := &inbox{statuses: []int{500, 500, 204, 500}}
		courier := newCourier(t, box, svixsim.CourierConfig{})
		send := func(after time.Duration) bool {
			<-time.After(after) // on the bubble's clock
			_, err := courier.Send(t.Context(), message("msg_1"))
			require.NoError(t, err)
			return courier.Disabled(0)
		}
		const day = 24 * time.Hour
		require.False(t, send(0))
		require.False(t, send(4*day))
		require.False(t, send(2*day), "a success forgives")
		require.False(t, send(0))
		require.False(t, send(5*day-time.Second))
		require.True(t, send(time.Second))
	})
}

func TestObserve_SeesEveryAttempt(t *testing.T) {
	t.Parallel()
	var seen []svixsim.Attempt
	courier := newCourier(t, &inbox{statuses: []int{500, 204}}, svixsim.CourierConfig{
		Schedule: []time.Duration{0, 0},
		Observe:  func(a svixsim.Attempt) { seen = append(seen, a) },
	})
	results, err := courier.Deliver(t.Context(), messages(1), svixsim.Faults{})
	require.NoError(t, err)
	require.Equal(t, results[0].Attempts, seen)
	require.Equal(t, 1, seen[0].Number)
	require.Equal(t, 2, seen[1].Number)
}

func TestConfig_NamesEachFault(t *testing.T) {
	t.Parallel()
	_, err := svixsim.NewCourier(svixsim.CourierConfig{Speed: -1, Schedule: []time.Duration{}})
	require.ErrorContains(t, err, "Schedule")
	require.ErrorContains(t, err, "Speed")
	for _, endpoint := range []svixsim.Endpoint{
		{URL: "receiver", Secrets: newSecrets(1)}, {URL: someURL}, {URL: someURL, Secrets: []string{"whsec_"}},
	} {
		_, err := svixsim.NewCourier(svixsim.CourierConfig{Endpoints: []svixsim.Endpoint{endpoint}})
		require.ErrorContains(t, err, "endpoint 0")
	}
}
