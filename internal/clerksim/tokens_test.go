package clerksim_test

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/clerksim"
)

func newSigningWorld(t *testing.T) (*clerksim.World, *clock) {
	t.Helper()
	return newWorld(t, clerksim.Config{SigningKey: sharedKeys()[0]})
}

func mint(t *testing.T, w *clerksim.World, userID string, options clerksim.TokenOptions) string {
	t.Helper()
	token, err := w.SessionToken(userID, options)
	require.NoError(t, err)
	return token
}

// publicKeys reads the key set over the public path.
func publicKeys(t *testing.T, w *clerksim.World) jose.JSONWebKeySet {
	t.Helper()
	status, body := call(t, w.Handler(), "", "/.well-known/jwks.json", nil)
	require.Equal(t, 200, status)
	require.JSONEq(t, string(body), string(callAPI(t, w, "/v1/jwks", nil)))
	require.NotContains(t, string(body), `"d":`, "private parts stay private")
	var keys jose.JSONWebKeySet
	require.NoError(t, json.Unmarshal(body, &keys))
	return keys
}

// anyAlgorithm are the algorithms of genuine and forged tokens.
func anyAlgorithm() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{jose.RS256, jose.HS256, "none"}
}

// verify checks the signature with the published keys and returns header and claims.
func verify(t *testing.T, w *clerksim.World, token string) (jose.Header, object, error) {
	t.Helper()
	parsed, err := jwt.ParseSigned(token, anyAlgorithm())
	require.NoError(t, err)
	claims := object{}
	keys := publicKeys(t, w)
	return parsed.Headers[0], claims, parsed.Claims(&keys, &claims)
}

// requireClaims verifies a token that has to be good.
func requireClaims(t *testing.T, w *clerksim.World, token string) object {
	t.Helper()
	header, claims, err := verify(t, w, token)
	require.NoError(t, err)
	require.Equal(t, "RS256", header.Algorithm)
	require.Equal(t, "JWT", header.ExtraHeaders[jose.HeaderType])
	return claims
}

func TestSessionToken_Version2(t *testing.T) {
	t.Parallel()
	w, c := newSigningWorld(t)
	u := createUser(t, w, clerksim.NewUser{})
	o, err := w.CreateOrganization(clerksim.NewOrganization{Slug: "here", CreatedBy: u.ID})
	require.NoError(t, err)
	claims := requireClaims(t, w, mint(t, w, u.ID, clerksim.TokenOptions{OrganizationID: o.ID}))
	now := float64(c.Now().Unix())
	require.Equal(t, u.ID, claims["sub"])
	require.Equal(t, w.Issuer(), claims["iss"])
	require.Equal(t, w.AuthorizedParty(), claims["azp"])
	require.Equal(t, "active", claims["sts"])
	require.InDelta(t, 2, claims["v"], 0)
	require.InDelta(t, now, claims["iat"], 0)
	require.InDelta(t, now-10, claims["nbf"], 0)
	require.InDelta(t, now+60, claims["exp"], 0)
	require.Equal(t, []any{0.0, -1.0}, claims["fva"])
	require.Regexp(t, "^sess_", claims["sid"])
	require.Equal(t, object{"id": o.ID, "slg": "here", "rol": "admin"}, claims.at(t, "o"))
	require.NotContains(t, claims, "org_id")
}

// unpack expands fea, o.per and o.fpm the way a reader of such a token does.
func unpack(t *testing.T, claims object) []string {
	t.Helper()
	o := claims.at(t, "o")
	permissions, err := expand(claims["fea"].(string), o["per"].(string), o["fpm"].(string))
	require.NoError(t, err)
	return permissions
}

func TestSessionToken_Permissions(t *testing.T) {
	t.Parallel()
	w, _ := newSigningWorld(t)
	custom := []string{"org:invoices:read", "org:invoices:create", "org:reports:create", "org:reports:export"}
	for _, key := range custom {
		_, err := w.CreatePermission(key, "")
		require.NoError(t, err)
	}
	_, err := w.CreateRole(clerksim.NewRole{Key: "org:clerk", Permissions: append(custom, "org:sys_billing:read")})
	require.NoError(t, err)
	admin, u := createUser(t, w, clerksim.NewUser{}), createUser(t, w, clerksim.NewUser{})
	o := createOrganization(t, w, admin.ID)
	_, err = w.AddMember(o.ID, u.ID, "org:clerk")
	require.NoError(t, err)

	v2 := requireClaims(t, w, mint(t, w, u.ID, clerksim.TokenOptions{OrganizationID: o.ID}))
	require.ElementsMatch(t, custom, unpack(t, v2))
	require.NotContains(t, v2.at(t, "o"), "slg")
	v1 := requireClaims(t, w, mint(t, w, u.ID, clerksim.TokenOptions{OrganizationID: o.ID, Version: clerksim.TokenV1}))
	require.Equal(t, o.ID, v1["org_id"])
	require.Equal(t, "org:clerk", v1["org_role"])
	require.ElementsMatch(t, custom, v1["org_permissions"])
	require.NotContains(t, v1, "v")
	require.NotContains(t, v1, "o")
}

func TestSessionToken_NeedsAMembershipOrARole(t *testing.T) {
	t.Parallel()
	w, _ := newSigningWorld(t)
	u := createUser(t, w, clerksim.NewUser{})
	o, err := w.CreateOrganization(clerksim.NewOrganization{})
	require.NoError(t, err)
	_, err = w.SessionToken(u.ID, clerksim.TokenOptions{OrganizationID: o.ID})
	require.ErrorIs(t, err, clerksim.ErrNotFound)
	stale := mint(t, w, u.ID, clerksim.TokenOptions{OrganizationID: o.ID, Role: clerksim.RoleAdmin})
	require.Equal(t, "admin", requireClaims(t, w, stale).at(t, "o")["rol"])
}

func TestSessionToken_SuspiciousClaims(t *testing.T) {
	t.Parallel()
	w, c := newSigningWorld(t)
	expired := requireClaims(t, w, mint(t, w, "user_a", clerksim.TokenOptions{Lifetime: -time.Second}))
	require.InDelta(t, float64(c.Now().Unix()-1), expired["exp"], 0)
	odd := requireClaims(t, w, mint(t, w, "user_a", clerksim.TokenOptions{
		Status: "pending", AuthorizedParty: "https://other.callmine.test", Issuer: "https://other.clerk.accounts.test",
		SessionID: "sess_a", IssuedAt: time.Unix(1_000, 0),
	}))
	require.Equal(t, "pending", odd["sts"])
	require.Equal(t, "https://other.callmine.test", odd["azp"])
	require.Equal(t, "https://other.clerk.accounts.test", odd["iss"])
	require.Equal(t, "sess_a", odd["sid"])
	require.InDelta(t, 1_000, odd["iat"], 0)
	bare := requireClaims(t, w, mint(t, w, "user_a", clerksim.TokenOptions{
		OmitAuthorizedParty: true, OmitExpiry: true, OmitSubject: true, OmitStatus: true,
	}))
	for _, claim := range []string{"azp", "exp", "sub", "sts"} {
		require.NotContains(t, bare, claim)
	}
}

func TestForgery_DoesNotVerify(t *testing.T) {
	t.Parallel()
	w, _ := newSigningWorld(t)
	for name, options := range map[string]clerksim.TokenOptions{
		"tampered":      {Forgery: clerksim.Tampered},
		"unsigned":      {Forgery: clerksim.Unsigned},
		"key confusion": {Forgery: clerksim.KeyConfusion},
		"unknown key":   {KeyID: "ins_unknown"},
	} {
		_, _, err := verify(t, w, mint(t, w, "user_a", options))
		require.Error(t, err, name)
	}
	_, err := w.SessionToken("user_a", clerksim.TokenOptions{Forgery: 99})
	require.Error(t, err)
}

func TestForgery_IsWhatItSays(t *testing.T) {
	t.Parallel()
	w, _ := newSigningWorld(t)
	header, _, _ := verify(t, w, mint(t, w, "user_a", clerksim.TokenOptions{Forgery: clerksim.Unsigned}))
	require.Equal(t, "none", header.Algorithm)

	der, err := x509.MarshalPKIXPublicKey(&sharedKeys()[0].PublicKey)
	require.NoError(t, err)
	secret := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	confused, err := jwt.ParseSigned(mint(t, w, "user_a", clerksim.TokenOptions{Forgery: clerksim.KeyConfusion}), anyAlgorithm())
	require.NoError(t, err)
	require.Equal(t, "HS256", confused.Headers[0].Algorithm)
	claims := object{}
	require.NoError(t, confused.Claims(secret, &claims), "a careless verifier would take it")
	require.Equal(t, "user_a", claims["sub"])

	tampered, err := jwt.ParseSigned(mint(t, w, "user_a", clerksim.TokenOptions{Forgery: clerksim.Tampered}), anyAlgorithm())
	require.NoError(t, err)
	require.NoError(t, tampered.UnsafeClaimsWithoutVerification(&claims))
	require.Equal(t, "user_tampered_user_a", claims["sub"])
}

func TestKeys_Rotation(t *testing.T) {
	t.Parallel()
	w, _ := newSigningWorld(t)
	old := mint(t, w, "user_a", clerksim.TokenOptions{})
	require.NoError(t, w.RotateKey(sharedKeys()[1], true))
	require.Len(t, publicKeys(t, w).Keys, 2)
	requireClaims(t, w, old)
	current := mint(t, w, "user_a", clerksim.TokenOptions{})
	requireClaims(t, w, current)

	require.NoError(t, w.RotateKey(sharedKeys()[0], false))
	require.Len(t, publicKeys(t, w).Keys, 1)
	_, _, err := verify(t, w, current)
	require.Error(t, err)
	_, _, err = verify(t, w, old)
	require.Error(t, err, "the same key under a new id")
}

func TestKeys_MadeWhenNeeded(t *testing.T) {
	t.Parallel()
	w, _ := newWorld(t, clerksim.Config{})
	requireClaims(t, w, mint(t, w, "user_a", clerksim.TokenOptions{}))
}
