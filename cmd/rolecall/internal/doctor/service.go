package doctor

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/callmine/rolecall/cmd/rolecall/internal/config"
	"github.com/callmine/rolecall/cmd/rolecall/internal/health"
	"github.com/callmine/rolecall/internal/clerkapi"
	"github.com/callmine/rolecall/store"
)

// mirror checks how well the mirror follows Clerk. It needs the database.
func (d *doctor) mirror(ctx context.Context) []Finding {
	if d.db == nil {
		return nil
	}
	return timed(ctx, func(ctx context.Context) []Finding {
		read, err := store.ReadStatus(ctx, d.db)
		if err != nil {
			return nil // the check of the schema says so
		}
		now, err := health.NewSituation(read, d.cfg.SweepsEvery())
		if err != nil {
			return []Finding{bad("mirror", "run `rolecall status`, and report it", "%v", err)}
		}
		return slices.Concat(d.mirrored(ctx), historyOf(now), d.sessions(ctx))
	})
}

// enoughWebhooks is how many webhooks in a day make the end of a session likely among them.
const enoughWebhooks = 100

// sessions finds out by the webhooks of the last day whether the endpoint gets the ends of
// sessions. Clerk's API doesn't tell to which events it is subscribed.
func (d *doctor) sessions(ctx context.Context) []Finding {
	const check = "ends of sessions"
	ended, webhooks, err := store.SessionsEnded(ctx, d.db, enoughWebhooks)
	switch {
	case err != nil:
		return nil // another check says so
	case ended:
		return []Finding{fine(check, "some came within the last day")}
	case webhooks < enoughWebhooks:
		return []Finding{fine(check, "unknown: too few webhooks came within the last day")}
	default:
		return []Finding{doubtful(check, "subscribe the endpoint to session.ended, session.removed and session.revoked in Clerk's dashboard",
			"none came within the last day, among at least %d webhooks: tokens outlive their sessions, by a minute as Clerk makes them", enoughWebhooks)}
	}
}

// mirrored compares the instance of the secret key with the mirror's.
func (d *doctor) mirrored(ctx context.Context) []Finding {
	known, err := store.KnownInstance(ctx, d.db)
	switch {
	case err != nil:
		return []Finding{bad("instance of the mirror", "check that Postgres answers", "%v", err)}
	case known == "":
		return []Finding{fine("instance of the mirror", "none yet: the mirror is new")}
	case d.clerk == nil:
		return []Finding{fine("instance of the mirror", "%s", known)}
	}
	instance, err := d.clerk.Instance(clerkapi.Interactive(ctx, clerkapi.ForCommand))
	if err == nil && instance.ID != known {
		return []Finding{bad("instance of the mirror", "correct CLERK_SECRET_KEY or DATABASE_URL: they are of two environments",
			"the mirror is of %s, and the secret key of %s", known, instance.ID)}
	}
	return []Finding{fine("instance of the mirror", "%s", known)}
}

// historyOf returns the last webhook, the last clean sweep, and the alarms.
func historyOf(now health.Situation) (found []Finding) {
	if now.LastDelivery.IsZero() {
		found = append(found, doubtful("last webhook", "check in Clerk's dashboard that the endpoint is enabled, and change something there, such as a user's name", "none ever came"))
	} else {
		found = append(found, fine("last webhook", "%s, %s ago", health.Instant(now.LastDelivery), health.Seconds(now.Age(now.LastDelivery))))
	}
	if now.LastClean != nil {
		found = append(found, fine("last clean sweep", "it began at %s, %s ago", health.Instant(now.LastClean.StartedAt), health.Seconds(now.Age(now.LastClean.StartedAt))))
	}
	for _, a := range now.Alarms() {
		f := bad("alarm "+string(a.Name), a.Advice, "%s", a.Detail)
		if a.Name == health.AlarmNeverSwept { // as expected before the first start
			f.State = VerdictWarning
		}
		found = append(found, f)
	}
	return found
}

// addresses checks whether a serve could listen, or already does.
func (d *doctor) addresses(ctx context.Context) (found []Finding) {
	for _, a := range []struct {
		setting, addr, page string
		wanted              bool
	}{
		{"ROLECALL_LISTEN_ADDR", d.cfg.ListenAddr, "/openapi.yaml", d.which.Web},
		{"ROLECALL_ADMIN_ADDR", d.cfg.AdminAddr, "/readyz", true},
	} {
		if a.wanted && config.AddrFault(a.addr) == "" {
			found = append(found, timed(ctx, func(ctx context.Context) []Finding {
				return []Finding{address(ctx, a.setting, a.addr, a.page)}
			})...)
		}
	}
	return found
}

// address tries to listen. If the address is taken, a page there shows whether a serve has it.
func address(ctx context.Context, setting, addr, page string) Finding {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err == nil {
		_ = listener.Close() // nothing was accepted
		return fine(setting, "%s is free", addr)
	}
	if !errors.Is(err, syscall.EADDRINUSE) {
		return bad(setting, "choose an address of this machine at which this user may listen", "%v", err)
	}
	host, port, _ := net.SplitHostPort(addr) // its form was checked before
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	status, text := ask(ctx, client, "http://"+net.JoinHostPort(host, port)+page)
	switch {
	case status == http.StatusOK && (page != "/openapi.yaml" || strings.HasPrefix(text, "openapi:")):
		return fine(setting, "a serve answers at %s", addr)
	case status == http.StatusServiceUnavailable && page == "/readyz":
		return doubtful(setting, "wait for it, or run `rolecall status`", "a serve at %s isn't ready: %s", addr, text)
	}
	return doubtful(setting, "end the other program, or choose another address", "%s is in use, and doesn't answer like a serve", addr)
}
