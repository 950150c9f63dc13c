package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/stretchr/testify/require"

	"github.com/callmine/rolecall/internal/request"
)

// contract is openapi.yaml. Every request and answer of the tests is checked against it.
type contract struct {
	doc    *openapi3.T
	router routers.Router
}

// theContract is read once for all tests.
var theContract = sync.OnceValues(func() (*contract, error) {
	openapi3filter.RegisterBodyDecoder("application/jsonl", openapi3filter.PlainBodyDecoder)
	openapi3filter.RegisterBodyDecoder(eventStream, openapi3filter.PlainBodyDecoder)
	doc, err := openapi3.NewLoader().LoadFromData(openAPI)
	if err != nil {
		return nil, err
	}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		return nil, err
	}
	return &contract{doc: doc, router: router}, nil
})

func loadContract(tb testing.TB) *contract {
	tb.Helper()
	c, err := theContract()
	require.NoError(tb, err)
	return c
}

// exchange is one request with its answer, bodies read.
type exchange struct {
	request     *http.Request
	requestBody []byte
	status      int
	header      http.Header
	body        []byte
}

// check requires that the exchange follows the document, and the rules for every answer.
func (c *contract) check(tb testing.TB, x exchange) {
	tb.Helper()
	require.NoError(tb, c.violation(tb, x), "%s %s: %d %s", x.request.Method, x.request.URL, x.status, x.body)
	caching := "no-store"
	if x.header.Get("ETag") != "" {
		caching = "private, no-cache"
	}
	require.Equal(tb, caching, x.header.Get("Cache-Control"))
	require.Equal(tb, "nosniff", x.header.Get("X-Content-Type-Options"))
	require.Equal(tb, x.status == http.StatusUnauthorized, x.header.Get("WWW-Authenticate") != "")
	checkRequestID(tb, x)
	waits := x.status == http.StatusServiceUnavailable || x.status == http.StatusTooManyRequests || x.status == http.StatusConflict && bytes.Contains(x.body, []byte(errInProgress.Type))
	require.Equal(tb, waits, x.header.Get("Retry-After") != "")
	require.Equal(tb, x.status == http.StatusMethodNotAllowed, x.header.Get("Allow") != "")
	if x.status == http.StatusNotFound {
		require.Empty(tb, x.header.Get(headerRevision), "a 404 tells that the workspace exists")
		require.Empty(tb, x.header.Get(headerAsOf), "a 404 tells that the workspace exists")
	}
}

// checkRequestID requires that the answer has the request's id, and that a problem has the same.
func checkRequestID(tb testing.TB, x exchange) {
	tb.Helper()
	given, answered := x.request.Header.Values(request.Header), x.header.Values(request.Header)
	if len(given) > 0 && ofAuthZEN(x.request) {
		require.Equal(tb, given, answered)
		return
	}
	require.Len(tb, answered, 1)
	if len(given) == 1 && regexp.MustCompile(`^[!-~]{1,128}$`).MatchString(given[0]) {
		require.Equal(tb, given, answered)
	} else {
		require.Regexp(tb, "^[0-9a-f]{20}$", answered[0])
	}
	if x.status >= http.StatusBadRequest && len(x.body) > 0 {
		var body struct {
			RequestID string `json:"request_id"`
		}
		require.NoError(tb, json.Unmarshal(x.body, &body))
		require.Equal(tb, answered[0], body.RequestID)
	}
}

// violation returns how the exchange violates the document. Only the request of a success must
// follow the document, because a refusal may be for a request that doesn't.
func (c *contract) violation(tb testing.TB, x exchange) error {
	tb.Helper()
	asked := x.request.Clone(tb.Context())
	asked.Body = io.NopCloser(bytes.NewReader(x.requestBody))
	if strings.HasPrefix(asked.RequestURI, extAuthz+"/") || strings.HasPrefix(asked.URL.Path, extAuthz+"/") { // any path and any method
		asked.Method, asked.URL = http.MethodGet, &url.URL{Path: extAuthz + "/path"}
		asked.Body, asked.Header = http.NoBody, http.Header{}
	}
	isHead := x.request.Method == http.MethodHead
	if isHead { // documented as GET
		asked.Method = http.MethodGet
		if len(x.body) > 0 {
			return errors.New("an answer to HEAD has a body")
		}
	}
	route, path, err := c.router.FindRoute(asked)
	if err != nil { // there is no such operation: the answer is 404 or 405
		route, path = c.undocumented(), nil
	}
	input := &openapi3filter.RequestValidationInput{
		Request: asked, PathParams: path, Route: route,
		Options: &openapi3filter.Options{
			AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true, SkipSettingDefaults: true,
			RejectWhenRequestBodyNotSpecified: true, ExcludeResponseBody: isHead,
		},
	}
	if x.status < http.StatusBadRequest {
		if err := openapi3filter.ValidateRequest(tb.Context(), input); err != nil {
			return err
		}
	}
	answer := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: x.status, Header: x.header, Options: input.Options,
	}
	if err := openapi3filter.ValidateResponse(tb.Context(), answer.SetBodyBytes(x.body)); err != nil {
		return err
	}
	return beyondTheDocument(route, x)
}

// everywhere lists the headers of HTTP itself, and those that [contract.check] checks in all
// answers. If browsers may call, their headers may be in any answer.
func everywhere(header http.Header) []string {
	names := []string{"Content-Type", "Content-Length", "Date", "Cache-Control", "X-Content-Type-Options", request.Header}
	if strings.HasPrefix(header.Get("Vary"), "Origin") {
		names = append(names, "Vary", "Access-Control-Allow-Origin", "Access-Control-Expose-Headers")
	}
	return names
}

// beyondTheDocument returns violations that kin-openapi lets pass: an undocumented 304, and
// undocumented bodies, headers and query parameters.
func beyondTheDocument(route *routers.Route, x exchange) error {
	response := route.Operation.Responses.Status(x.status)
	if response == nil {
		return fmt.Errorf("status %d isn't documented", x.status)
	}
	if len(response.Value.Content) == 0 && len(x.body) > 0 {
		return errors.New("a body isn't documented")
	}
	documented := everywhere(x.header)
	for name, header := range response.Value.Headers {
		documented = append(documented, http.CanonicalHeaderKey(name))
		if given := len(x.header.Values(name)); given == 0 && header.Value.Required || given > 1 && name != "Allow" && name != "X-Request-ID" {
			return fmt.Errorf("header %s must be there once", name) // a list may be there several times, and so may an echo
		}
	}
	for name := range x.header {
		if !slices.Contains(documented, name) {
			return fmt.Errorf("header %s isn't documented", name)
		}
	}
	if x.status >= http.StatusBadRequest || slices.Contains(route.Operation.Tags, doorTag) { // doors ignore queries
		return nil
	}
	for name := range x.request.URL.Query() {
		if route.Operation.Parameters.GetByInAndName(openapi3.ParameterInQuery, name) == nil &&
			route.PathItem.Parameters.GetByInAndName(openapi3.ParameterInQuery, name) == nil {
			return fmt.Errorf("parameter %s isn't documented", name)
		}
	}
	return nil
}

// undocumented is the route of a request without an operation. It answers 404 or 405.
func (c *contract) undocumented() *routers.Route {
	responses := openapi3.NewResponsesWithCapacity(2)
	for code, name := range map[string]string{"404": "UnknownRoute", "405": "MethodNotAllowed"} {
		responses.Set(code, &openapi3.ResponseRef{Value: c.doc.Components.Responses[name].Value})
	}
	return &routers.Route{Spec: c.doc, PathItem: &openapi3.PathItem{}, Operation: &openapi3.Operation{Responses: responses}}
}

// requireNothingInternal requires that the answer reveals nothing internal.
func requireNothingInternal(tb testing.TB, x exchange, secrets ...string) {
	tb.Helper()
	for _, secret := range append(secrets, "pgx", "pgconn", "SQLSTATE", "goroutine", "panic", "dial tcp", "closed pool", "context canceled", "deadline") {
		require.NotContains(tb, string(x.body), secret)
		for name, values := range x.header {
			require.NotContains(tb, strings.Join(values, " "), secret, name)
		}
	}
	if x.status >= http.StatusBadRequest && x.request.Method != http.MethodHead {
		var body problem
		require.NoError(tb, json.Unmarshal(x.body, &body))
		require.Equal(tb, x.status, body.Status)
	}
}
