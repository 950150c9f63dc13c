package auth

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkAuthenticate measures what authenticating costs a request: a user's token seen for the
// first time, the same one seen again, and a service token compared with two.
func BenchmarkAuthenticate(b *testing.B) {
	bundle := setupAuth(b, func(c *Config) {
		c.ServiceTokens = []ServiceToken{{Name: "a", SHA256: digestOf(1)}, {Name: "b", SHA256: digestOf(2)}}
	})
	user := bearerRequest(b, bundle.token(b, nil))

	b.Run("fresh", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			bundle.users.memory = newTokenMemory(2)
			_, err := bundle.Authenticate(b.Context(), user)
			require.NoError(b, err)
		}
	})
	b.Run("remembered", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := bundle.Authenticate(b.Context(), user); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("remembered_parallel", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := bundle.Authenticate(b.Context(), user); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
	service := bearerRequest(b, "rcs_unknown")
	b.Run("service", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := bundle.Authenticate(b.Context(), service); err == nil {
				b.Fatal("an unknown token was accepted")
			}
		}
	})
}

func bearerRequest(b *testing.B, token string) *http.Request {
	b.Helper()
	r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/v1/me", http.NoBody)
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}
