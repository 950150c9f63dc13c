package doctor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/callmine/rolecall/api/auth"
	"github.com/callmine/rolecall/internal/clerkapi"
	clerksync "github.com/callmine/rolecall/sync"
)

// keys fetches the signing keys of session tokens. It compares the answer's clock with this
// machine's.
func (d *doctor) keys(ctx context.Context) []Finding {
	if !d.which.Web || d.cfg.Issuer == "" || d.cfg.CheckIssuer() != nil {
		return nil // the findings about settings say so
	}
	return timed(ctx, func(ctx context.Context) []Finding {
		transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // it is one
		defer transport.CloseIdleConnections()
		dated := &dating{next: transport}
		authenticator, err := auth.NewAuthenticator(auth.Config{
			Issuer: d.cfg.Issuer, JWKSURL: d.cfg.JWKSURL, HTTPClient: &http.Client{Transport: dated}, Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			return []Finding{bad("signing keys", "correct CLERK_ISSUER and CLERK_JWKS_URL", "%v", err)}
		}
		defer authenticator.Close()
		n, err := authenticator.FetchKeys(ctx)
		if err != nil {
			return []Finding{bad("signing keys", "check that CLERK_ISSUER or CLERK_JWKS_URL is the Frontend API of your Clerk instance, and that this machine reaches it",
				"no user can be admitted: %v", err)}
		}
		return append([]Finding{fine("signing keys", "%d from Clerk", n)}, dated.finding()...)
	})
}

// dating notes how far the answering server's clock is ahead, by the header Date (RFC 9110, section
// 6.6.1), in whole seconds.
type dating struct {
	next  http.RoundTripper
	ahead atomic.Pointer[time.Duration]
}

// RoundTrip implements [http.RoundTripper].
func (d *dating) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := d.next.RoundTrip(r)
	if err == nil {
		if at, err := http.ParseTime(response.Header.Get("Date")); err == nil {
			d.ahead.Store(new(time.Until(at.Add(time.Second / 2))))
		}
	}
	return response, err
}

func (d *dating) finding() []Finding {
	const whole = time.Second // the header has whole seconds, and the answer takes time to arrive
	if ahead := d.ahead.Load(); ahead != nil {
		return []Finding{clockFinding("clock of Clerk", *ahead, clockDoubtful+whole)}
	}
	return nil
}

// clerkLists asks Clerk for the instance and for one object of each list.
func (d *doctor) clerkLists(ctx context.Context) []Finding {
	if d.cfg.SecretKey == "" {
		return []Finding{doubtful("Clerk", "set CLERK_SECRET_KEY", "without CLERK_SECRET_KEY there are no sweeps, and commands are refused")}
	}
	if d.clerk == nil {
		return nil // the findings about settings say so
	}
	found := timed(ctx, d.instance)
	if found[0].State == VerdictWrong {
		return found // each list would say the same
	}
	resources := clerkResources()
	listed := make([]Finding, len(resources))
	var asking sync.WaitGroup
	for i, resource := range resources {
		asking.Go(func() {
			listed[i] = timed(ctx, func(ctx context.Context) []Finding { return []Finding{d.list(ctx, resource)} })[0]
		})
	}
	asking.Wait()
	return append(found, listed...)
}

func (d *doctor) instance(ctx context.Context) []Finding {
	instance, err := d.clerk.Instance(clerkapi.Interactive(ctx, clerkapi.ForCommand))
	if err != nil {
		return []Finding{bad("Clerk instance", clerkCure(err), "Clerk doesn't name it: %s", clerkSays(err))}
	}
	if want := d.cfg.InstanceID; want != "" && want != instance.ID {
		return []Finding{bad("Clerk instance", "correct CLERK_SECRET_KEY or CLERK_INSTANCE_ID: they are of two environments",
			"CLERK_SECRET_KEY is of %s, and CLERK_INSTANCE_ID is %s", instance.ID, want)}
	}
	return []Finding{fine("Clerk instance", "%s, %s", instance.ID, instance.Environment)}
}

// clerkResources lists the kinds that sweeps list. The kinds that memberships need come first.
func clerkResources() []clerksync.Resource {
	return append(membersNeed(), clerksync.ResourceInvitation, clerksync.ResourceDomain, clerksync.ResourceRole, clerksync.ResourcePermission)
}

func membersNeed() []clerksync.Resource {
	return []clerksync.Resource{clerksync.ResourceOrganization, clerksync.ResourceMembership, clerksync.ResourceUser}
}

func (d *doctor) list(ctx context.Context, resource clerksync.Resource) Finding {
	check := fmt.Sprintf("Clerk's list of %ss", resource)
	page, err := d.clerk.List(clerkapi.Interactive(ctx, clerkapi.ForCommand), resource, clerksync.PageRequest{Limit: 1})
	switch {
	case err == nil && page.Total >= 0:
		return fine(check, "it answers, with %d in all", page.Total)
	case err == nil:
		return fine(check, "it answers")
	case slices.Contains(membersNeed(), resource):
		return bad(check, clerkCure(err), "no membership is known without it: %s", clerkSays(err))
	default:
		return doubtful(check, clerkCure(err), "it isn't mirrored: %s", clerkSays(err))
	}
}

// clerkSays returns Clerk's answer in words, with its status, code and trace.
func clerkSays(err error) string {
	said, ok := errors.AsType[*clerkapi.Error](err)
	if !ok {
		return err.Error()
	}
	text := []string{}
	if said.Status != 0 {
		text = append(text, fmt.Sprintf("status %d", said.Status))
	}
	for _, part := range []string{said.Code, said.Message} {
		if part != "" {
			text = append(text, part)
		}
	}
	if said.TraceID != "" {
		text = append(text, "trace "+said.TraceID)
	}
	return strings.Join(text, ", ")
}

func clerkCure(err error) string {
	said, ok := errors.AsType[*clerkapi.Error](err)
	switch {
	case ok && said.Status == http.StatusUnauthorized:
		return "take the secret key of this instance from Clerk's dashboard into CLERK_SECRET_KEY"
	case errors.Is(err, clerkapi.ErrRateLimited):
		return "wait until Clerk's rate limit allows calls again, and find the program that uses it up"
	case ok && said.Code != "":
		return "check in Clerk's dashboard whether the feature is on and in your plan"
	default:
		return "check that this machine reaches Clerk's API (CLERK_API_URL), and look at Clerk's status page"
	}
}
