package clerkapi

import "net/http"

// reader lets only GET requests pass, so that nothing changes at Clerk, whatever calls the client.
type reader struct{ next http.RoundTripper }

// RoundTrip implements [http.RoundTripper].
func (r *reader) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method != http.MethodGet {
		return nil, unavailable("this client only reads, and sends no "+req.Method, nil)
	}
	return r.next.RoundTrip(req)
}
