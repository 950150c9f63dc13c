package auth

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
)

// claimsCase is a valid token with some claims changed.
type claimsCase struct {
	changes map[string]any
	reason  Reason // "" if it is accepted
}

// timeCases change a token's times, relative to now.
func timeCases(now time.Time) map[string]claimsCase {
	at := func(d time.Duration) int64 { return now.Add(d).Unix() }
	return map[string]claimsCase{
		"expired within leeway":    {map[string]any{"exp": at(-5 * time.Second)}, ""},
		"expired":                  {map[string]any{"exp": at(-6 * time.Second)}, ReasonExpired},
		"no exp":                   {map[string]any{"exp": nil}, ReasonNoExpiry},
		"exp zero":                 {map[string]any{"exp": 0}, ReasonExpired},
		"exp is text":              {map[string]any{"exp": "4102444800"}, ReasonMalformed},
		"exp is null":              {map[string]any{"exp": json.RawMessage("null")}, ReasonNoExpiry},
		"exp beyond all integers":  {map[string]any{"exp": 1e300}, ReasonMalformed},
		"nbf beyond all integers":  {map[string]any{"nbf": 1e300}, ReasonMalformed},
		"nbf is text":              {map[string]any{"nbf": "4102444800"}, ReasonMalformed},
		"iat is text":              {map[string]any{"iat": "1"}, ReasonMalformed},
		"iat beyond all integers":  {map[string]any{"iat": 1e300}, ReasonMalformed},
		"nbf within leeway":        {map[string]any{"nbf": at(5 * time.Second)}, ""},
		"not yet valid":            {map[string]any{"nbf": at(6 * time.Second)}, ReasonNotYetValid},
		"no nbf, no iat":           {map[string]any{"nbf": nil, "iat": nil}, ""},
		"iat within leeway":        {map[string]any{"iat": at(5 * time.Second)}, ""},
		"iat in the future":        {map[string]any{"iat": at(6 * time.Second)}, ReasonIssuedInFuture},
		"fractions are cut":        {map[string]any{"exp": float64(at(-5*time.Second)) + 0.9}, ""},
		"fractions don't lengthen": {map[string]any{"exp": float64(at(-6*time.Second)) + 0.9}, ReasonExpired},
	}
}

// identityCases change a token's user, issuer and audience.
func identityCases() map[string]claimsCase {
	return map[string]claimsCase{
		"version 2": {nil, ""},
		"version 1": {map[string]any{
			"v": nil, "o": nil, "sts": nil, "org_id": "org_1", "org_role": "org:admin", "org_permissions": []string{},
		}, ""},
		"without organization":   {map[string]any{"o": nil}, ""},
		"unknown claims":         {map[string]any{"new": map[string]any{"x": 1}}, ""},
		"active":                 {map[string]any{"sts": "active"}, ""},
		"status empty":           {map[string]any{"sts": ""}, ""},
		"status pending":         {map[string]any{"sts": "pending"}, ReasonSessionStatus},
		"status in capitals":     {map[string]any{"sts": "Active"}, ReasonSessionStatus},
		"status is a number":     {map[string]any{"sts": 1}, ReasonMalformed},
		"no sub":                 {map[string]any{"sub": nil}, ReasonSubject},
		"sub of a machine":       {map[string]any{"sub": "mch_2abc"}, ReasonSubject},
		"sub without an id":      {map[string]any{"sub": "user_"}, ReasonSubject},
		"sub with user_ inside":  {map[string]any{"sub": "x_user_2abc"}, ReasonSubject},
		"sub is a number":        {map[string]any{"sub": 7}, ReasonMalformed},
		"no issuer":              {map[string]any{"iss": nil}, ReasonIssuer},
		"issuer is a list":       {map[string]any{"iss": []string{testIssuer}}, ReasonMalformed},
		"other issuer":           {map[string]any{"iss": "https://clerk.evil.example"}, ReasonIssuer},
		"issuer with slash":      {map[string]any{"iss": testIssuer + "/"}, ReasonIssuer},
		"issuer longer":          {map[string]any{"iss": testIssuer + ".evil.example"}, ReasonIssuer},
		"issuer shorter":         {map[string]any{"iss": strings.TrimSuffix(testIssuer, "m")}, ReasonIssuer},
		"issuer with prefix":     {map[string]any{"iss": "https://evil.example/" + testIssuer}, ReasonIssuer},
		"issuer in capitals":     {map[string]any{"iss": "HTTPS://clerk.example.com"}, ReasonIssuer},
		"issuer the SDK accepts": {map[string]any{"iss": "https://x.clerk.accounts.evil.example"}, ReasonIssuer},
		"issuer without TLS":     {map[string]any{"iss": "http://clerk.example.com"}, ReasonIssuer},
		"any azp without a list": {map[string]any{"azp": "https://other.example"}, ""},
		"no azp without a list":  {map[string]any{"azp": nil}, ""},
	}
}

func TestSessionToken_ClaimsAreChecked(t *testing.T) {
	t.Parallel()
	cases := identityCases()
	maps.Copy(cases, timeCases(setupAuth(t, nil).clock.Now()))
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setupAuth(t, nil)
			requireVerdict(t, b, b.token(t, c.changes), c.reason)
		})
	}
}

func TestSessionToken_AuthorizedPartyIsChecked(t *testing.T) {
	t.Parallel()
	b := setupAuth(t, func(c *Config) {
		c.AuthorizedParties = []string{"https://admin.example.com", testOrigin}
	})
	for name, c := range map[string]claimsCase{
		"allowed":       {nil, ""},
		"also allowed":  {map[string]any{"azp": "https://admin.example.com"}, ""},
		"missing":       {map[string]any{"azp": nil}, ReasonAuthorizedParty},
		"empty":         {map[string]any{"azp": ""}, ReasonAuthorizedParty},
		"other":         {map[string]any{"azp": "https://evil.example"}, ReasonAuthorizedParty},
		"with slash":    {map[string]any{"azp": testOrigin + "/"}, ReasonAuthorizedParty},
		"other port":    {map[string]any{"azp": testOrigin + ":8443"}, ReasonAuthorizedParty},
		"longer":        {map[string]any{"azp": testOrigin + ".evil.example"}, ReasonAuthorizedParty},
		"null":          {map[string]any{"azp": json.RawMessage("null")}, ReasonAuthorizedParty},
		"a list":        {map[string]any{"azp": []string{testOrigin}}, ReasonMalformed},
		"several joint": {map[string]any{"azp": "https://admin.example.com," + testOrigin}, ReasonAuthorizedParty},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			requireVerdict(t, b, b.token(t, c.changes), c.reason)
		})
	}
}

// requireVerdict requires the same verdict twice. The second time, an accepted token is a
// remembered one.
func requireVerdict(t *testing.T, b *authBundle, token string, reason Reason) {
	t.Helper()
	for range 2 {
		identity, err := b.identify(t.Context(), token)
		if reason != "" {
			requireReason(t, reason, err)
			require.Zero(t, identity)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, testUser, identity.UserID)
		require.Empty(t, identity.Service)
	}
}

func TestSessionToken_RefusesOtherAlgorithms(t *testing.T) {
	t.Parallel()
	b := setupAuth(t, nil)
	claims := claimsAt(b.clock.Now())
	first := firstSigner()
	kid := (&jose.SignerOptions{}).WithHeader("kid", first.kid)
	der, err := x509.MarshalPKIXPublicKey(&first.key.PublicKey)
	require.NoError(t, err)
	elliptical, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)

	tokens := map[string]string{
		"none":               unsigned(t, `{"alg":"none","kid":"`+first.kid+`"}`, claims),
		"None":               unsigned(t, `{"alg":"None","kid":"`+first.kid+`"}`, claims),
		"no algorithm":       unsigned(t, `{"kid":"`+first.kid+`"}`, claims),
		"lower case":         unsigned(t, `{"alg":"rs256","kid":"`+first.kid+`"}`, claims),
		"HS256 with DER":     signWith(t, jose.HS256, der, claims, kid),
		"HS256 with PEM":     signWith(t, jose.HS256, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), claims, kid),
		"HS256 with PKCS #1": signWith(t, jose.HS256, x509.MarshalPKCS1PublicKey(&first.key.PublicKey), claims, kid),
		"ES256":              signWith(t, jose.ES256, elliptical, claims, kid),
		"RS384":              signWith(t, jose.RS384, first.key, claims, kid),
		"RS512":              signWith(t, jose.RS512, first.key, claims, kid),
		"PS256":              signWith(t, jose.PS256, first.key, claims, kid),
	}
	for name, token := range tokens {
		_, err := b.identify(t.Context(), token)
		requireReason(t, ReasonAlgorithm, err)
		require.Zero(t, b.jwks.count(), "%s: refused before a key is looked up", name)
	}
	_, err = b.identify(t.Context(), signWith(t, jose.RS256, first.key, claims, &jose.SignerOptions{}))
	requireReason(t, ReasonUnknownKey, err)
	require.Zero(t, b.jwks.count(), "without a kid there is nothing to look up")
}

func TestSessionToken_HeaderIsChecked(t *testing.T) {
	t.Parallel()
	b := setupAuth(t, nil)
	claims := claimsAt(b.clock.Now())
	first := firstSigner()
	key := jose.JSONWebKey{Key: first.key, KeyID: first.kid}
	options := func() *jose.SignerOptions { return &jose.SignerOptions{} }
	known := options().WithHeader("kid", first.kid)
	known.EmbedJWK = true
	embeddedKnown := signWith(t, jose.RS256, secondSigner().key, claims, known)
	embedded := signWith(t, jose.RS256, secondSigner().key, claims, &jose.SignerOptions{EmbedJWK: true})
	critical := signWith(t, jose.RS256, key, claims, options().WithCritical("x").WithHeader("x", 1))

	for name, c := range map[string]struct {
		token  string
		reason Reason
	}{
		"no type":              {signWith(t, jose.RS256, key, claims, options()), ""},
		"type in lower case":   {signWith(t, jose.RS256, key, claims, options().WithType("jwt")), ""},
		"OAuth access token":   {signWith(t, jose.RS256, key, claims, options().WithType("at+jwt")), ReasonType},
		"type is a number":     {signWith(t, jose.RS256, key, claims, options().WithHeader("typ", 1)), ReasonType},
		"no kid":               {signWith(t, jose.RS256, first.key, claims, options()), ReasonUnknownKey},
		"unknown kid":          {secondSigner().sign(t, claims), ReasonUnknownKey},
		"kid of another key":   {signer{kid: first.kid, key: secondSigner().key}.sign(t, claims), ReasonSignature},
		"brings its own key":   {embedded, ReasonUnknownKey},
		"its own, known kid":   {embeddedKnown, ReasonSignature},
		"its own private key":  {unsigned(t, `{"alg":"RS256","kid":"x","jwk":{"kty":"oct","k":"c2VjcmV0"}}`, claims), ReasonMalformed},
		"unknown critical one": {critical, ReasonSignature},
		"kid is a number":      {unsigned(t, `{"alg":"RS256","kid":7}`, claims), ReasonMalformed},
		"kid twice":            {unsigned(t, `{"alg":"RS256","kid":"x","kid":"`+first.kid+`"}`, claims), ReasonMalformed},
		"KID":                  {unsigned(t, `{"alg":"RS256","KID":"`+first.kid+`"}`, claims), ReasonUnknownKey},
		"ALG":                  {unsigned(t, `{"ALG":"RS256","kid":"`+first.kid+`"}`, claims), ReasonAlgorithm},
		"algorithm's a number": {unsigned(t, `{"alg":7,"kid":"`+first.kid+`"}`, claims), ReasonAlgorithm},
		"a list":               {unsigned(t, `["RS256"]`, claims), ReasonMalformed},
		"algorithm twice":      {unsigned(t, `{"alg":"none","alg":"RS256","kid":"`+first.kid+`"}`, claims), ReasonMalformed},
		"no JSON":              {unsigned(t, `RS256`, claims), ReasonMalformed},
		"unsigned":             {unsigned(t, `{"alg":"RS256","kid":"`+first.kid+`"}`, claims), ReasonSignature},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			requireVerdict(t, b, c.token, c.reason)
		})
	}
}

func TestSessionToken_RefusesTampering(t *testing.T) {
	t.Parallel()
	b := setupAuth(t, nil)
	token := b.token(t, nil)
	requireVerdict(t, b, token, "")

	parts := strings.Split(token, ".")
	forged, err := json.Marshal(with(claimsAt(b.clock.Now()), map[string]any{"sub": "user_2admin"}))
	require.NoError(t, err)
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	require.NoError(t, err)
	join := func(payload, signature []byte) string {
		return parts[0] + "." + base64.RawURLEncoding.EncodeToString(payload) + "." + base64.RawURLEncoding.EncodeToString(signature)
	}
	requireVerdict(t, b, join(forged, signature), ReasonSignature)
	requireVerdict(t, b, parts[0]+"."+parts[1]+".", ReasonSignature)

	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	require.NoError(t, err)
	for i := range signature {
		flipped := append([]byte(nil), signature...)
		flipped[i] ^= 1
		_, err := b.identify(t.Context(), join(payload, flipped))
		requireReason(t, ReasonSignature, err)
	}
	_, err = b.identify(t.Context(), join(payload, append(signature, 0)))
	requireReason(t, ReasonSignature, err)
}

// The last character of a 256-byte signature has four bits that no decoder needs. So a token has
// sixteen spellings, all of which lenient decoders accept.
func TestSessionToken_HasOneSpelling(t *testing.T) {
	t.Parallel()
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	b := setupAuth(t, nil)
	token := b.token(t, nil)
	accepted := 0
	for _, last := range alphabet {
		if _, err := b.identify(t.Context(), token[:len(token)-1]+string(last)); err == nil {
			accepted++
		}
	}
	require.Equal(t, 1, accepted)
	require.Equal(t, 1, b.users.memory.Len())
}

func TestSessionToken_CallerThatGoesAwayIsNotUnauthenticated(t *testing.T) {
	t.Parallel()
	b := setupAuth(t, nil)
	release := b.jwks.hang(nil)
	defer release()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := b.identify(ctx, b.token(t, nil))
	require.ErrorIs(t, err, ErrKeysUnavailable)
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, ErrUnauthenticated)
	b.Close()
}

// unsigned returns a token with the header as it stands and an empty signature.
func unsigned(t *testing.T, header string, claims map[string]any) string {
	t.Helper()
	payload, err := json.Marshal(claims)
	require.NoError(t, err)
	return base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString(payload) + "."
}
