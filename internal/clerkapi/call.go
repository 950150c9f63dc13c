package clerkapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/clerk/clerk-sdk-go/v2"
)

// endpoint is a path of the API to call.
type endpoint struct {
	route string // the path's pattern, for metrics
	path  string
	query url.Values
}

// at returns the endpoint of a route whose placeholders are filled with ids, in their order.
func at(route string, ids ...string) endpoint {
	path := route
	for _, id := range ids {
		before, rest, _ := strings.Cut(path, "{")
		_, after, _ := strings.Cut(rest, "}")
		path = before + url.PathEscape(id) + after
	}
	return endpoint{route: route, path: path, query: url.Values{}}
}

// get makes a GET call and decodes the answer into into. All its errors are an [*Error], or an
// error of ctx.
func (c *Client) get(ctx context.Context, e endpoint, into any) error {
	return c.call(ctx, &trip{}, http.MethodGet, e, &parameters{values: e.query}, into)
}

// call makes one call, as get does. A call other than a GET sends its parameters as JSON.
func (c *Client) call(ctx context.Context, trip *trip, method string, e endpoint, params clerk.Params, into any) error {
	trip.route = e.route
	ctx = context.WithValue(ctx, tripKey{}, trip)
	request := clerk.NewAPIRequest(method, e.path)
	request.SetParams(params)
	var answer answer
	began := time.Now()
	err := c.backend.Call(ctx, request, &answer)
	c.observe(Call{Route: e.route, Status: trip.status, Took: time.Since(began), Attempts: trip.attempts})
	if err != nil {
		return explain(err)
	}
	if err := json.Unmarshal(answer.body, into); err != nil {
		return malformed("the answer isn't of the expected shape") // err may quote the body, at any length
	}
	return nil
}

// explain turns an error of the SDK into an error of this package.
func explain(err error) error {
	if known, ok := errors.AsType[*Error](err); ok {
		return known
	}
	switch {
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case errors.Is(err, context.DeadlineExceeded):
		return unavailable("the caller's deadline passed", context.DeadlineExceeded)
	default: // the SDK couldn't decode the answer
		return malformed("the answer isn't JSON")
	}
}

// trip collects what the layers of the transport know of one call. They run one after the other, so
// it needs no lock.
type trip struct {
	route    string
	attempts int
	status   int
}

type tripKey struct{}

// tripOf returns the call that ctx belongs to.
func tripOf(ctx context.Context) *trip {
	if t, ok := ctx.Value(tripKey{}).(*trip); ok {
		return t
	}
	return &trip{}
}

// answer keeps the body of a response. The SDK has checked that it is JSON.
type answer struct{ body json.RawMessage }

// Read implements [clerk.ResponseReader].
func (a *answer) Read(response *clerk.APIResponse) { a.body = response.RawJSON }

// UnmarshalJSON does nothing: the bytes are kept by Read.
func (a *answer) UnmarshalJSON([]byte) error { return nil }

// parameters are the query of a request.
type parameters struct {
	clerk.APIParams

	values url.Values
}

// ToQuery implements [clerk.Params].
func (p *parameters) ToQuery() url.Values { return p.values }
