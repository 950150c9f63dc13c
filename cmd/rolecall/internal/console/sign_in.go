package console

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// signInPage is the data of the sign-in page.
type signInPage struct {
	Next  string // the path to show after signing in
	Fault string // of the last try
}

// showSignIn shows the sign-in page. An operator who is signed in gets the next page instead.
func (c *Console) showSignIn(w http.ResponseWriter, v *visit) error {
	next := localPath(v.FormValue("next"))
	if v.admitted {
		return seeOther(w, next)
	}
	return c.askForToken(w, v, http.StatusOK, signInPage{Next: next})
}

func (c *Console) askForToken(w http.ResponseWriter, v *visit, status int, data signInPage) error {
	v.title = "Sign in"
	return c.render(w, v, status, "sign_in", data)
}

// signIn exchanges a token for a session. A wrong token counts against its sender's address before
// it is judged, so that tries at the same time can't pass the limit.
func (c *Console) signIn(w http.ResponseWriter, v *visit) error {
	if !c.signsIn() {
		return errForbidden
	}
	if err := v.ParseForm(); err != nil {
		return bad("The form can't be read", "Send it again.")
	}
	page := signInPage{Next: localPath(v.PostFormValue("next"))}
	address := addressOf(v.Request)
	if wait := c.tries.begin(networkOf(address)); wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(wait/time.Second)+1))
		page.Fault = "There were five wrong tries from your address within a minute. Wait a minute, and try again."
		return c.askForToken(w, v, http.StatusTooManyRequests, page)
	}
	operator, ok := c.cfg.Operators.Identify(strings.TrimSpace(v.PostFormValue("token")))
	if !ok {
		c.refused(v, address.String())
		page.Fault = "No operator has this token. It is rco_ and 43 characters or more."
		return c.askForToken(w, v, http.StatusUnauthorized, page)
	}
	c.tries.forgive(networkOf(address))
	key := newSessionKey(operator)
	if err := c.startSession(v, operator, key); err != nil {
		return err
	}
	setCookie(w, v.Request, cookieName(v.Request, sessionCookie), key, sessionTime)
	return seeOther(w, page.Next)
}

// refused records a wrong token. The audit log gets few of them, with their number.
func (c *Console) refused(v *visit, address string) {
	c.cfg.Logger.WarnContext(v.Context(), "an operator's sign-in was refused", "address", address)
	tries, due := c.refusals.count()
	if !due {
		return
	}
	err := c.inTurn(v, changeTime, func(ctx context.Context) error {
		return store.AppendOperatorEntry(ctx, c.cfg.Pool, store.OperatorEntry{
			Action: clerksync.ActionOperatorRefused, Target: "console", Data: map[string]any{"address": address, "tries": tries},
		})
	})
	if err != nil {
		c.cfg.Logger.ErrorContext(v.Context(), "record a refused sign-in", "error", err)
	}
}

// signOut ends the session on all processes. Its streams on others end in their own time: they only
// say that something changed.
func (c *Console) signOut(ctx context.Context, v *visit) (string, error) {
	what := doing{Action: clerksync.ActionOperatorSignedOut, Target: v.operator}
	err := c.change(ctx, v, what, func(ctx context.Context, tx pgx.Tx) error {
		return store.EndOperatorSession(ctx, tx, v.session)
	})
	if err == nil {
		c.streams.end(v.session)
	}
	return signInPath, err
}

// localPath returns a path of this console, so that no link leads elsewhere after signing in.
func localPath(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || u.Opaque != "" || !strings.HasPrefix(u.Path, "/") ||
		strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\r\n\t") || strings.HasPrefix(u.Path, "//") || u.Path == signInPath {
		return "/"
	}
	return target(u.Path, u.Query())
}

const signInPath = "/sign-in"

// signInFor returns the address of the sign-in page that leads back to a request's page.
func signInFor(r *http.Request) string {
	next := r.URL.RequestURI()
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		next = "/"
		if from, err := url.Parse(r.Referer()); err == nil && from.Host == r.Host {
			next = from.RequestURI()
		}
	}
	if next = localPath(next); next == "/" {
		return signInPath
	}
	return target(signInPath, url.Values{"next": {next}})
}

func seeOther(w http.ResponseWriter, path string) error {
	w.Header().Set("Location", path)
	w.WriteHeader(http.StatusSeeOther)
	return nil
}
