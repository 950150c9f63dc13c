package auth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
)

func TestParseSigningKeys_TakesOnlyWhatRS256Needs(t *testing.T) {
	t.Parallel()
	elliptical, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	good := firstSigner().public()
	named := func(kid string, change func(*jose.JSONWebKey)) json.RawMessage {
		key := good
		key.KeyID = kid
		change(&key)
		raw, err := json.Marshal(key)
		require.NoError(t, err)
		return raw
	}
	modulus := base64.RawURLEncoding.EncodeToString(firstSigner().key.N.Bytes())
	certified := strings.Replace(string(named("certificate", func(*jose.JSONWebKey) {})), "{", `{"x5u":"https://evil.example",`, 1)
	keys := []json.RawMessage{
		named("plain", func(k *jose.JSONWebKey) { k.Use, k.Algorithm = "", "" }),
		named("full", func(*jose.JSONWebKey) {}),
		named("encryption", func(k *jose.JSONWebKey) { k.Use = "enc" }),
		named("other_algorithm", func(k *jose.JSONWebKey) { k.Algorithm = "RS512" }),
		named("elliptical", func(k *jose.JSONWebKey) { k.Key, k.Algorithm = &elliptical.PublicKey, "ES256" }),
		named("symmetric", func(k *jose.JSONWebKey) { k.Key, k.Algorithm = []byte("secret"), "HS256" }),
		named("symmetric_as_rs256", func(k *jose.JSONWebKey) { k.Key = []byte("secret") }),
		named("short", func(k *jose.JSONWebKey) { k.Key = &short.PublicKey }),
		named("", func(*jose.JSONWebKey) {}),
		named("private", func(k *jose.JSONWebKey) { k.Key = firstSigner().key }),
		json.RawMessage(certified),
		json.RawMessage(`{"kty":"RSA","kid":"no_modulus","e":"AQAB"}`),
		json.RawMessage(`{"kty":"RSA","kid":"broken","n":"*","e":"AQAB"}`),
		json.RawMessage(`{"kty":"RSA","kid":"no_exponent","n":"` + modulus + `"}`),
		json.RawMessage(`{"kty":"RSA","kid":"exponent_one","n":"` + modulus + `","e":"AQ"}`),
		json.RawMessage(`{"kty":"RSA","kid":"exponent_huge","n":"` + modulus + `","e":"AQAAAAAAAAAAAAAB"}`),
		json.RawMessage(`{"kty":"RSA","kid":"long","n":"` + strings.Repeat(modulus[:len(modulus)-2], 3) + `","e":"AQAB"}`),
		json.RawMessage(`{"kty":"RSA","kid":"padded","n":"` + modulus + `==","e":"AQAB"}`),
		json.RawMessage(`{"kty":"RSA","kid":7}`),
		json.RawMessage(`"text"`),
		json.RawMessage(`null`),
	}
	body, err := json.Marshal(map[string]any{"keys": keys})
	require.NoError(t, err)
	parsed, err := parseSigningKeys(body)
	require.NoError(t, err)
	require.Equal(t, []string{"certificate", "full", "plain", "private"}, slices.Sorted(maps.Keys(parsed)))
	for kid, key := range parsed {
		require.True(t, firstSigner().key.PublicKey.Equal(key), "%s is the public key", kid)
	}

	unusable, err := json.Marshal(map[string]any{"keys": keys[2:9]})
	require.NoError(t, err)
	_, err = parseSigningKeys(unusable)
	require.ErrorContains(t, err, "it holds no RSA key for signatures")
}

func FuzzParseSigningKeys(f *testing.F) {
	f.Add([]byte(keySet(firstSigner(), secondSigner())))
	f.Add([]byte(`{"keys":[{"kty":"RSA","kid":"a","n":"AA","e":"AQAB"}]}`))
	f.Add([]byte(`{"keys":null}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		keys, err := parseSigningKeys(body)
		require.Equal(t, err == nil, len(keys) > 0)
		for kid, key := range keys {
			require.NotEmpty(t, kid)
			require.GreaterOrEqual(t, key.N.BitLen(), minKeyBits)
		}
	})
}
