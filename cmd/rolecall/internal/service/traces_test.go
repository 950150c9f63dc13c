package service_test

import (
	"bytes"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/servicetest"
	"github.com/callmine/rolecall/internal/clerksim"
	"github.com/callmine/rolecall/internal/pgtest"
	"github.com/callmine/rolecall/internal/tracing"
)

// collector takes spans as OpenTelemetry's collector does.
type collector struct {
	url string

	mu    sync.Mutex
	raw   bytes.Buffer
	spans []*tracepb.Span
}

func newCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{}
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var sent tracepb.TracesData // of the same shape as the request
		if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(body, &sent) != nil {
			t.Errorf("%s: no spans: %v", r.URL.Path, err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.raw.Write(body)
		for _, resource := range sent.GetResourceSpans() {
			for _, scope := range resource.GetScopeSpans() {
				c.spans = append(c.spans, scope.GetSpans()...)
			}
		}
	}))
	t.Cleanup(server.Close)
	c.url = server.URL
	return c
}

// traced lets a service send its spans to a collector.
func (c *collector) traced(t *testing.T) func(*servicetest.Bundle, *config.Config) {
	t.Helper()
	return func(b *servicetest.Bundle, _ *config.Config) {
		var warnings []string
		b.Extras.Tracing, warnings = tracing.Read(func(name string) string {
			return map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": c.url}[name]
		})
		require.Empty(t, warnings)
	}
}

// of returns the spans of the trace that has a span with this name and, if it isn't "", this
// attribute's value.
func (c *collector) of(t *testing.T, name, value string) (trace []*tracepb.Span) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	at := slices.IndexFunc(c.spans, func(s *tracepb.Span) bool {
		return s.GetName() == name && (value == "" || slices.ContainsFunc(s.GetAttributes(), func(a *commonpb.KeyValue) bool {
			return a.GetValue().GetStringValue() == value
		}))
	})
	require.GreaterOrEqual(t, at, 0, "no span %s %s among %v", name, value, namesOf(c.spans))
	for _, s := range c.spans {
		if bytes.Equal(s.GetTraceId(), c.spans[at].GetTraceId()) {
			trace = append(trace, s)
		}
	}
	return trace
}

func namesOf(spans []*tracepb.Span) (names []string) {
	for _, s := range spans {
		names = append(names, s.GetName())
	}
	return names
}

// under returns the span of a trace with this name that is directly within another one.
func under(t *testing.T, trace []*tracepb.Span, parent *tracepb.Span, name string) *tracepb.Span {
	t.Helper()
	for _, s := range trace {
		if s.GetName() == name && bytes.Equal(s.GetParentSpanId(), parent.GetSpanId()) {
			return s
		}
	}
	require.FailNow(t, "a span is missing", "no %s within %s among %v", name, parent.GetName(), namesOf(trace))
	return nil
}

// root returns the span of a trace that has no parent.
func root(t *testing.T, trace []*tracepb.Span) *tracepb.Span {
	t.Helper()
	at := slices.IndexFunc(trace, func(s *tracepb.Span) bool { return len(s.GetParentSpanId()) == 0 })
	require.GreaterOrEqual(t, at, 0, namesOf(trace))
	return trace[at]
}

// callersTrace is what a caller that is traced itself sends.
const (
	callersTrace  = "4bf92f3577b34da6a3ce929d0e0e4736"
	callersParent = "00-" + callersTrace + "-00f067aa0ba902b7-01"
)

// TestTraces_FollowAWebhookAndACommand reads the spans of a webhook over its job to the commit, and
// of a command over Clerk's answer to the commit. The stop of the service sends them. None says
// anything of a person.
func TestTraces_FollowAWebhookAndACommand(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	b := servicetest.Start(t, pgtest.URL(t), nil, config.Parts{Web: true, Workers: true}, servicetest.AsksClerk, c.traced(t))
	b.Open(t, b.Config.DatabaseURL)
	admin, err := b.Clerk.CreateUser(clerksim.NewUser{FirstName: "Wilhelmina", LastName: "Ostrander", Emails: []string{"wilhelmina@callmine.test"}})
	require.NoError(t, err)
	organization, err := b.Clerk.CreateOrganization(clerksim.NewOrganization{Name: "Quincunx Ltd", CreatedBy: admin.ID})
	require.NoError(t, err)
	messages := b.Clerk.Drain()
	b.Send(t, messages[0])
	b.Applied(t) // by itself: a job that shares another's round has its merge in that one's trace
	b.Send(t, messages[1:]...)
	token := b.Token(t, admin.ID)
	invite := b.Request(t, http.MethodPost, "/v1/workspaces/"+organization.ID+"/invitations", `{"email":"thaddeus@callmine.test","role":"member"}`)
	invite.Header.Set("traceparent", callersParent)
	invite.Header.Set("tracestate", "vendor=state-of-a-person")
	invite.Header.Set("User-Agent", "agent-of-a-person")
	invite.Header.Set("X-Request-Id", "request-of-a-test")
	status, answer := b.Do(t, invite, token)
	require.Equal(t, http.StatusCreated, status, "%v", answer)
	forged := b.Request(t, http.MethodPost, "/webhooks/clerk?who=query-of-a-person", "{}")
	forged.Header.Set("traceparent", "00-"+strings.Repeat("ab", 16)+"-00f067aa0ba902b7-01")
	status, _ = b.Do(t, forged, "")
	require.Equal(t, http.StatusBadRequest, status)
	require.NoError(t, b.Service.Stop(t.Context()))

	webhook := c.of(t, "accept delivery", messages[0].ID)
	request := root(t, webhook)
	require.Equal(t, "POST /webhooks/clerk", request.GetName())
	accept := under(t, webhook, request, "accept delivery")
	commit := under(t, webhook, accept, "commit deliveries")
	under(t, webhook, commit, "AcceptDeliveries")
	job := under(t, webhook, accept, "apply deliveries")
	require.Equal(t, tracepb.Span_SPAN_KIND_CONSUMER, job.GetKind())
	merge := under(t, webhook, job, "merge deliveries")
	under(t, webhook, merge, "LockReceivedDeliveries")
	require.True(t, slices.ContainsFunc(webhook, func(s *tracepb.Span) bool { return s.GetName() == "COMMIT" }), "%v", namesOf(webhook))

	command := c.of(t, "POST /v1/workspaces/{workspace_id}/invitations", "request-of-a-test")
	require.Equal(t, callersTrace, hex.EncodeToString(command[0].GetTraceId()), "the request continues the caller's trace")
	at := slices.IndexFunc(command, func(s *tracepb.Span) bool { return s.GetKind() == tracepb.Span_SPAN_KIND_SERVER })
	for _, name := range []string{"Clerk POST /organizations/{organization_id}/invitations", "AddCommand", "SendCommand", "EndCommand"} {
		under(t, command, command[at], name)
	}

	for _, s := range c.spans {
		require.NotEqual(t, strings.Repeat("ab", 16), hex.EncodeToString(s.GetTraceId()), "a sender doesn't decide which webhooks are traced")
	}
	for _, personal := range []string{
		"wilhelmina", "ostrander", "thaddeus", "quincunx", "of-a-person", token, b.Secret, b.Clerk.SecretKey(), "127.0.0.1", "INSERT",
	} {
		require.NotContains(t, strings.ToLower(c.raw.String()), strings.ToLower(personal))
	}
}
