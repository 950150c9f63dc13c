package console

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/callmine/rolecall/store"
)

var (
	// errUnconfigured says that others than this machine reach the console, and that no operator can
	// sign in.
	errUnconfigured = errors.New("no operator's token is configured")
	// errWrongHost refuses a request that another site's name led to this machine.
	errWrongHost = errors.New("the host isn't this machine")
	// errCrossSite refuses a change that another site's page asks for.
	errCrossSite = errors.New("another site asked for a change")
	// errForeign refuses what another site's page makes the browser read.
	errForeign = errors.New("another site asked for a page or a file")
	// errMethod refuses a method.
	errMethod = errors.New("the method doesn't fit")
)

// signsIn reports whether operators sign in. Otherwise the console is read-only.
func (c *Console) signsIn() bool { return len(c.cfg.Operators) > 0 }

// open answers a request whether or not its sender is signed in, unless the console is closed to
// it.
func (c *Console) open(h handler) http.Handler {
	return c.answering(func(w http.ResponseWriter, v *visit) error {
		if err := c.admit(v); err != nil {
			return err
		}
		if !isText(v.URL.Path) { // Postgres has no such text
			return errNotFound
		}
		return h(w, v)
	})
}

// manual answers with a page of the manual, which is public. Who may see the console sees it there.
// While the database can't tell who asks, everyone gets it.
func (c *Console) manual(h handler) http.Handler {
	admitted := c.ifAdmitted(h)
	return c.answering(func(w http.ResponseWriter, v *visit) error {
		err := c.admit(v)
		switch {
		case err == nil:
			return admitted(w, v)
		case store.Unavailable(err):
			return h(w, v)
		default:
			return err
		}
	})
}

// answering makes errors pages.
func (c *Console) answering(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v := &visit{Request: r}
		if err := h(w, v); err != nil {
			c.fail(w, v, err)
		}
	})
}

// admitted answers a request only if its sender may see the console.
func (c *Console) admitted(h handler) http.Handler { return c.open(c.ifAdmitted(h)) }

func (c *Console) ifAdmitted(h handler) handler {
	return func(w http.ResponseWriter, v *visit) error {
		switch {
		case v.admitted:
			return h(w, v)
		case !navigates(v.Request):
			w.WriteHeader(http.StatusUnauthorized)
			return nil
		case v.Header.Get("Sec-Fetch-Site") == "cross-site" && v.Method == http.MethodGet:
			// The browser keeps the cookie back when a link on another site is followed. A page that
			// loads itself again is a request of this site.
			v.title = "One moment"
			return c.render(w, v, http.StatusOK, "again", nil)
		default:
			return seeOther(w, signInFor(v.Request))
		}
	}
}

// fromHere answers only if the operator, or a page of the console, asks: not for HEAD, and not if
// another site's page leads here. It is for what takes long or leaves a trace.
func fromHere(h handler) handler {
	return func(w http.ResponseWriter, v *visit) error {
		if v.Method != http.MethodGet {
			w.Header().Set("Allow", http.MethodGet)
			return errMethod
		}
		if !isOurs(v.Request) {
			return errForeign
		}
		return h(w, v)
	}
}

// isOurs reports whether the operator, or a page of the console, asks. Only browsers say it.
func isOurs(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	return site == "" || site == "none" || site == "same-origin"
}

// isFollowed reports whether an operator follows a link. A page of another site can also make a
// browser read pages in the background: that would keep the console busy, and take time that the
// other site can measure.
func isFollowed(r *http.Request) bool {
	to := r.Header.Get("Sec-Fetch-Dest")
	return r.Header.Get("Sec-Fetch-Mode") == "navigate" && (to == "" || to == "document")
}

// navigates reports whether a person waits for the answer, and not a script or an image.
func navigates(r *http.Request) bool {
	mode := r.Header.Get("Sec-Fetch-Mode")
	return (mode == "" || mode == "navigate") && r.Header.Get("X-Rolecall-Live") == ""
}

// admit judges who sent a request. Without operators' tokens, everyone at this machine may look.
func (c *Console) admit(v *visit) error {
	if c.crossOrigin.Check(v.Request) != nil {
		return errCrossSite
	}
	if !isOurs(v.Request) && !isFollowed(v.Request) {
		return errForeign
	}
	if c.signsIn() {
		return c.identify(v)
	}
	if !c.cfg.Loopback || isForwarded(v.Request) {
		return errUnconfigured
	}
	if !isThisMachine(v.Host) {
		return errWrongHost
	}
	v.admitted = true
	return nil
}

// inTurn waits for a turn and calls do, whose context has a time limit. A browser that leaves early
// doesn't cut a connection in the middle of a query.
func (c *Console) inTurn(v *visit, limit time.Duration, do func(ctx context.Context) error) error {
	done, err := c.turns.take(v.Context())
	if err != nil {
		return err
	}
	defer done()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(v.Context()), limit)
	defer cancel()
	return do(ctx)
}

// isForwarded reports whether a proxy passed a request on, which then may come from anywhere. A
// proxy on this machine may set the Host localhost. Most leave another trace.
func isForwarded(r *http.Request) bool {
	if !r.ProtoAtLeast(1, 1) { // no browser asks so, and nginx does unless it is told otherwise
		return true
	}
	for name := range r.Header {
		if strings.HasPrefix(name, "X-Forwarded-") || strings.HasPrefix(name, "X-Original-") || slices.Contains(proxyHeaders(), name) {
			return true
		}
	}
	from, err := url.Parse(r.Referer())
	return r.Header.Get("Sec-Fetch-Site") == "same-origin" && err == nil && from.Host != "" && !isThisMachine(from.Host)
}

// proxyHeaders are other headers that proxies add.
func proxyHeaders() []string {
	return []string{"Forwarded", "Via", "X-Real-Ip", "X-Client-Ip", "X-Cluster-Client-Ip", "True-Client-Ip", "Cf-Connecting-Ip", "Cdn-Loop", "X-Envoy-External-Address"}
}

// isThisMachine reports whether a Host header names this machine. The page of another site can make
// its own name lead here, and would then read what the console shows.
func isThisMachine(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	} else if len(host) > 2 && host[0] == '[' && host[len(host)-1] == ']' {
		host = host[1 : len(host)-1]
	}
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}
