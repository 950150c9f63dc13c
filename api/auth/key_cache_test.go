package auth

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// longLived is a token of the signer that outlives every age of the key set.
func (b *authBundle) longLived(t *testing.T, s signer) string {
	t.Helper()
	b.users.templates = true // with a template's token, only the keys' age can end it
	return s.sign(t, with(claimsAt(b.clock.Now()), map[string]any{"sid": nil, "exp": b.clock.Now().Add(100 * 24 * time.Hour).Unix()}))
}

// answerKeys answers a request with the signers' keys.
func answerKeys(signers ...signer) roundTrip {
	return func(r *http.Request) (*http.Response, error) {
		return response(r, http.StatusOK, keySet(signers...)), nil
	}
}

func TestKeyCache_FetchesLazilyAndOnce(t *testing.T) {
	t.Parallel()
	b := setupAuth(t, nil)
	require.Zero(t, b.jwks.count(), "nothing is fetched before a token asks")
	for i := range 5 {
		_, err := b.identify(t.Context(), b.token(t, map[string]any{"sid": fmt.Sprintf("sess_%d", i)}))
		require.NoError(t, err)
	}
	require.Equal(t, 1, b.jwks.count())
}

func TestKeyCache_UnavailableKeysAreNoRefusal(t *testing.T) {
	t.Parallel()
	usable := keySet(firstSigner())
	for name, fail := range map[string]func(*jwksEndpoint){
		"unreachable":   (*jwksEndpoint).unreachable,
		"500":           func(e *jwksEndpoint) { e.serve(http.StatusInternalServerError, usable) },
		"204":           func(e *jwksEndpoint) { e.serve(http.StatusNoContent, "") },
		"HTML":          func(e *jwksEndpoint) { e.serve(http.StatusOK, "<!doctype html><title>Sorry</title>") },
		"empty body":    func(e *jwksEndpoint) { e.serve(http.StatusOK, "") },
		"null":          func(e *jwksEndpoint) { e.serve(http.StatusOK, "null") },
		"empty set":     func(e *jwksEndpoint) { e.serve(http.StatusOK, `{"keys":[]}`) },
		"cut off":       func(e *jwksEndpoint) { e.serve(http.StatusOK, usable[:len(usable)-1]) },
		"huge":          func(e *jwksEndpoint) { e.serve(http.StatusOK, usable+strings.Repeat(" ", maxKeySetBytes)) },
		"redirect":      redirectElsewhere,
		"list, not set": func(e *jwksEndpoint) { e.serve(http.StatusOK, `[]`) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setupAuth(t, nil)
			fail(b.jwks)
			_, err := b.identify(t.Context(), b.token(t, nil))
			require.ErrorIs(t, err, ErrKeysUnavailable)
			require.NotErrorIs(t, err, ErrUnauthenticated)
			require.Equal(t, 1, b.jwks.count())
		})
	}
}

// redirectElsewhere redirects to an address with usable keys.
func redirectElsewhere(e *jwksEndpoint) {
	e.answerWith(func(r *http.Request) (*http.Response, error) {
		if r.URL.Host != "clerk.example.com" {
			return response(r, http.StatusOK, keySet(firstSigner())), nil
		}
		redirect := response(r, http.StatusFound, "")
		redirect.Header.Set("Location", "https://evil.example/keys")
		return redirect, nil
	})
}

// No kind of failed answer may remove the known keys.
func TestKeyCache_OutlivesBadAnswers(t *testing.T) {
	t.Parallel()
	b := setupAuth(t, nil)
	token := b.longLived(t, firstSigner())
	requireVerdict(t, b, token, "")
	b.jwks.serve(http.StatusOK, `{"keys":[]}`)
	b.clock.advance(keysHardAge)
	requireVerdict(t, b, token, "")
	require.Equal(t, 2, b.jwks.count())
}

func TestKeyCache_ServesStaleForADayWhileClerkIsDown(t *testing.T) {
	t.Parallel()
	b := setupAuth(t, nil)
	token := b.longLived(t, firstSigner())
	requireVerdict(t, b, token, "")
	b.jwks.unreachable()

	b.clock.advance(keysMaxAge - time.Second)
	requireVerdict(t, b, token, "")
	requireVerdict(t, b, b.token(t, nil), "")
	requireVerdict(t, b, secondSigner().sign(t, claimsAt(b.clock.Now())), ReasonUnknownKey)

	b.clock.advance(time.Second)
	for _, token := range []string{token, b.token(t, nil)} {
		_, err := b.identify(t.Context(), token)
		require.ErrorIs(t, err, ErrKeysUnavailable, "remembered or not")
		require.ErrorContains(t, err, "connection refused")
	}

	b.jwks.publish(firstSigner())
	b.clock.advance(keysEmptyInterval)
	requireVerdict(t, b, token, "")
}

func TestKeyCache_ComesBackWithinASecond(t *testing.T) {
	t.Parallel()
	b := setupAuth(t, nil)
	token := b.longLived(t, firstSigner())
	b.jwks.unreachable()
	for range 3 {
		_, err := b.identify(t.Context(), token)
		require.ErrorIs(t, err, ErrKeysUnavailable)
	}
	require.Equal(t, 1, b.jwks.count(), "one attempt a second, however many ask")
	b.jwks.publish(firstSigner())
	b.clock.advance(keysEmptyInterval)
	requireVerdict(t, b, token, "")
}

func TestKeyCache_RotationEndsRememberedTokens(t *testing.T) {
	t.Parallel()
	b := setupAuth(t, nil)
	token := b.longLived(t, firstSigner())
	requireVerdict(t, b, token, "")
	b.jwks.publish(secondSigner())

	b.clock.advance(keysSoftAge - time.Second)
	requireVerdict(t, b, token, "")
	b.clock.advance(keysHardAge - keysSoftAge + time.Second)
	requireVerdict(t, b, token, ReasonUnknownKey)
	require.Zero(t, b.users.memory.Len(), "dropped with its key")
	requireVerdict(t, b, b.longLived(t, secondSigner()), "")
}

// A refresh counts for all tokens, even if another token caused it.
func TestKeyCache_RotationIsNoticedByNewKey(t *testing.T) {
	t.Parallel()
	b := setupAuth(t, nil)
	token := b.longLived(t, firstSigner())
	requireVerdict(t, b, token, "")
	b.jwks.publish(secondSigner())
	b.clock.advance(keysInterval)
	requireVerdict(t, b, b.longLived(t, secondSigner()), "")
	requireVerdict(t, b, token, ReasonUnknownKey)
}

func TestKeyCache_KeyReplacedUnderItsName(t *testing.T) {
	t.Parallel()
	b := setupAuth(t, nil)
	token := b.longLived(t, firstSigner())
	requireVerdict(t, b, token, "")
	b.jwks.publish(signer{kid: firstSigner().kid, key: secondSigner().key})
	b.clock.advance(keysHardAge)
	requireVerdict(t, b, token, ReasonSignature)
}

func TestKeyCache_SameKeyKeepsTheMemory(t *testing.T) {
	t.Parallel()
	b := setupAuth(t, nil)
	requireVerdict(t, b, b.longLived(t, firstSigner()), "")
	before, err := b.keys.key(t.Context(), firstSigner().kid)
	require.NoError(t, err)
	b.jwks.publish(secondSigner(), firstSigner())
	b.clock.advance(keysHardAge)
	after, err := b.keys.key(t.Context(), firstSigner().kid)
	require.NoError(t, err)
	require.Equal(t, 2, b.jwks.count())
	require.Same(t, before, after)
}

func TestKeyCache_UnknownKeysCauseOneRefreshPerInterval(t *testing.T) {
	t.Parallel()
	testKeys()
	synctest.Test(t, func(t *testing.T) {
		b := setupAuth(t, nil)
		requireVerdict(t, b, b.token(t, nil), "")
		b.clock.advance(keysInterval)
		release := b.jwks.hang(answerKeys(firstSigner()))

		const callers = 100
		errs := make(chan error, callers)
		for i := range callers {
			token := signer{kid: fmt.Sprintf("ins_invented_%d", i), key: secondSigner().key}.sign(t, claimsAt(b.clock.Now()))
			go func() {
				_, err := b.identify(t.Context(), token)
				errs <- err
			}()
		}
		synctest.Wait()
		requireVerdict(t, b, b.token(t, nil), "") // known keys don't wait
		require.Empty(t, errs)
		require.Equal(t, 2, b.jwks.count())

		release()
		for range callers {
			requireReason(t, ReasonUnknownKey, <-errs)
		}
		b.clock.advance(keysInterval - time.Second)
		requireVerdict(t, b, secondSigner().sign(t, claimsAt(b.clock.Now())), ReasonUnknownKey)
		require.Equal(t, 2, b.jwks.count(), "no second refresh within the interval")
	})
}

func TestKeyCache_NewKeyIsFoundWithinTheInterval(t *testing.T) {
	t.Parallel()
	b := setupAuth(t, nil)
	requireVerdict(t, b, b.token(t, nil), "")
	b.jwks.publish(firstSigner(), secondSigner())
	token := b.longLived(t, secondSigner())
	requireVerdict(t, b, token, ReasonUnknownKey)
	b.clock.advance(keysInterval)
	requireVerdict(t, b, token, "")
}

func TestKeyCache_RefreshesAheadWithoutWaits(t *testing.T) {
	t.Parallel()
	testKeys()
	synctest.Test(t, func(t *testing.T) {
		b := setupAuth(t, nil)
		token := b.longLived(t, firstSigner())
		requireVerdict(t, b, token, "")
		release := b.jwks.hang(answerKeys(secondSigner()))
		b.clock.advance(keysSoftAge)
		requireVerdict(t, b, token, "")
		synctest.Wait()
		require.Equal(t, 2, b.jwks.count())
		release()
		synctest.Wait()
		requireVerdict(t, b, token, ReasonUnknownKey)
	})
}

func TestKeyCache_HangingEndpoint(t *testing.T) {
	t.Parallel()
	testKeys()
	synctest.Test(t, func(t *testing.T) {
		b := setupAuth(t, nil)
		token := b.longLived(t, firstSigner())
		requireVerdict(t, b, token, "")
		b.jwks.hang(nil)
		b.clock.advance(2 * keysHardAge)

		began := time.Now()
		requireVerdict(t, b, token, "")
		require.Equal(t, keysTimeout, time.Since(began), "the first one waits, but no longer than one fetch")

		b.clock.advance(keysInterval)
		began = time.Now()
		requireVerdict(t, b, token, "")
		require.Zero(t, time.Since(began), "while refreshes fail, no caller waits for the next one")
		synctest.Wait()
		require.Equal(t, 3, b.jwks.count(), "but it is made")
	})
}

func TestKeyCache_HangingEndpointWithoutKeys(t *testing.T) {
	t.Parallel()
	testKeys()
	synctest.Test(t, func(t *testing.T) {
		b := setupAuth(t, nil)
		release := b.jwks.hang(answerKeys(firstSigner()))
		token := b.token(t, nil)

		impatient, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		verdicts := make(chan error, 2)
		for _, ctx := range []context.Context{impatient, t.Context()} {
			go func() {
				_, err := b.identify(ctx, token)
				verdicts <- err
			}()
		}
		err := <-verdicts
		require.ErrorIs(t, err, ErrKeysUnavailable)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		release()
		require.NoError(t, <-verdicts, "a caller who gives up doesn't end the fetch for the others")
		require.Equal(t, 1, b.jwks.count())
	})
}

func TestKeyCache_CloseEndsARunningRefresh(t *testing.T) {
	t.Parallel()
	testKeys()
	synctest.Test(t, func(t *testing.T) {
		b := setupAuth(t, nil)
		b.jwks.hang(nil)
		token := b.token(t, nil)
		verdict := make(chan error, 1)
		go func() {
			_, err := b.identify(t.Context(), token)
			verdict <- err
		}()
		synctest.Wait()
		began := time.Now()
		b.Close()
		require.ErrorIs(t, <-verdict, ErrKeysUnavailable)
		require.Zero(t, time.Since(began))

		b.clock.advance(keysMaxAge)
		_, err := b.identify(t.Context(), b.token(t, nil))
		require.ErrorIs(t, err, ErrKeysUnavailable)
		require.Equal(t, 1, b.jwks.count(), "none begins afterwards")
	})
}

func TestKeyCache_LogsFailedRefresh(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	b := setupAuth(t, func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	requireVerdict(t, b, b.token(t, nil), "")
	require.Empty(t, log.String())
	b.jwks.unreachable()
	b.clock.advance(keysHardAge)
	requireVerdict(t, b, b.token(t, nil), "")
	b.Close()
	require.Contains(t, log.String(), "refresh of signing keys failed")
	require.Contains(t, log.String(), "connection refused")
}
