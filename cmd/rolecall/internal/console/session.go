package console

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/callmine/rolecall/api/auth"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

// sessionTime is how long a session lasts at most.
const sessionTime = 12 * time.Hour

// sessionCookie holds the key of a session.
const sessionCookie = "rolecall_operator"

// maxSessions bounds the sessions of one browser that are looked up for a request.
const maxSessions = 3

// newSessionKey returns the key of a new session: a random id and its seal. The seal is made with
// the hash of the operator's token, so that keys that others make up are refused without a query.
func newSessionKey(operator auth.OperatorToken) string {
	id := rand.Text() + rand.Text()
	return id + "." + seal(operator.SHA256[:], id)
}

// seal returns a text that only who knows the key can make.
func seal(key []byte, text string) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("rolecall console " + text))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// isSealed reports whether a seal is that of a text.
func isSealed(key []byte, text, by string) bool {
	return hmac.Equal([]byte(seal(key, text)), []byte(by))
}

// identify finds the operator of a request by its session. Cookies don't know ports: another server
// on the same host name may have set some of the same name.
func (c *Console) identify(v *visit) error {
	looked := 0
	for _, cookie := range v.CookiesNamed(cookieName(v.Request, sessionCookie)) {
		operator, ok := c.sealer(cookie.Value)
		if !ok {
			continue
		}
		if err := c.resume(v, operator, cookie.Value); err != nil || v.admitted {
			return err
		}
		if looked++; looked == maxSessions {
			return nil
		}
	}
	return nil
}

// sealer returns the operator whose token sealed a session's key.
func (c *Console) sealer(key string) (auth.OperatorToken, bool) {
	id, by, _ := strings.Cut(key, ".")
	for _, operator := range c.cfg.Operators {
		if isSealed(operator.SHA256[:], id, by) {
			return operator, true
		}
	}
	return auth.OperatorToken{}, false
}

// resume admits the operator of a session that hasn't ended. It ends with the operator's token.
func (c *Console) resume(v *visit, operator auth.OperatorToken, key string) error {
	id := sha256.Sum256([]byte(key))
	var session store.OperatorSession
	err := c.inTurn(v, statementTime, func(ctx context.Context) (err error) {
		session, err = store.FindOperatorSession(ctx, c.cfg.Pool, id)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if session.Operator == operator.Name && session.TokenHash == operator.SHA256 {
		v.operator, v.session, v.key, v.admitted = operator.Name, id, key, true
	}
	return nil
}

func (c *Console) startSession(v *visit, operator auth.OperatorToken, key string) error {
	session := store.OperatorSession{ID: sha256.Sum256([]byte(key)), Operator: operator.Name, TokenHash: operator.SHA256}
	v.operator = operator.Name
	what := doing{Action: clerksync.ActionOperatorSignedIn, Target: operator.Name, Data: map[string]any{"address": addressOf(v.Request).String()}}
	return c.inTurn(v, changeTime, func(ctx context.Context) error {
		return c.change(ctx, v, what, func(ctx context.Context, tx pgx.Tx) error {
			return store.StartOperatorSession(ctx, tx, session, sessionTime)
		})
	})
}

// cookieName returns the name of a cookie. Behind TLS, it keeps other hosts of the domain from
// setting it.
func cookieName(r *http.Request, name string) string {
	if isSecure(r) {
		return "__Host-" + name
	}
	return name
}

// setCookie sets a cookie that only this console gets. Without a time, it ends the cookie.
func setCookie(w http.ResponseWriter, r *http.Request, name, value string, lasts time.Duration) {
	age := int(lasts / time.Second)
	if age == 0 {
		age = -1
	}
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // by HTTP, a browser would drop a secure cookie
		Name: name, Value: value, Path: "/", MaxAge: age, HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: isSecure(r),
	})
}

// isSecure reports whether the browser came by HTTPS. A proxy that ends TLS says so; of several
// proxies, the first one.
func isSecure(r *http.Request) bool {
	first, _, _ := strings.Cut(r.Header.Get("X-Forwarded-Proto"), ",")
	return r.TLS != nil || strings.EqualFold(strings.TrimSpace(first), "https")
}
