package service_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/stretchr/testify/require"
	svix "github.com/svix/svix-webhooks/go"
)

// theDocument finds the operation of a request in openapi.yaml.
var theDocument = sync.OnceValues(func() (routers.Router, error) {
	openapi3filter.RegisterBodyDecoder("application/jsonl", openapi3filter.PlainBodyDecoder)
	doc, err := openapi3.NewLoader().LoadFromFile(filepath.Join("..", "..", "..", "..", "api", "openapi.yaml"))
	if err != nil {
		return nil, err
	}
	return gorillamux.NewRouter(doc)
})

// beyondTheDocument returns an error if an answer of the whole program doesn't conform to
// openapi.yaml. Package api's tests also check requests, and answers on undocumented routes.
func beyondTheDocument(ctx context.Context, request *http.Request, a answer) error {
	router, err := theDocument()
	if err != nil {
		return err
	}
	route, path, err := router.FindRoute(request)
	if errors.Is(err, routers.ErrPathNotFound) || errors.Is(err, routers.ErrMethodNotAllowed) {
		return nil
	}
	if err != nil {
		return err
	}
	input := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: request, PathParams: path, Route: route},
		Status:                 a.status, Header: a.header, Options: &openapi3filter.Options{IncludeResponseStatus: true},
	}
	if err := openapi3filter.ValidateResponse(ctx, input.SetBodyBytes([]byte(a.text))); err != nil {
		return err
	}
	response := route.Operation.Responses.Status(a.status)
	if response == nil {
		return fmt.Errorf("status %d isn't documented", a.status)
	}
	if len(response.Value.Content) == 0 && a.text != "" {
		return errors.New("a body isn't documented")
	}
	// Any answer may have these. The document describes X-Request-Id once for all.
	documented := []string{"Content-Type", "Content-Length", "Date", "Cache-Control", "X-Content-Type-Options", "X-Request-Id"}
	for name := range response.Value.Headers {
		documented = append(documented, http.CanonicalHeaderKey(name))
	}
	for name := range a.header {
		if !slices.Contains(documented, name) {
			return fmt.Errorf("header %s isn't documented", name)
		}
	}
	return nil
}

// TestWebhooks_AnswersAreAsDocumented checks the answers of the whole program, as a house checks
// all its answers.
func TestWebhooks_AnswersAreAsDocumented(t *testing.T) {
	t.Parallel()
	h := openHouse(t, nil)
	h.person("Alex")
	good := h.Clerk.Drain()[0]
	for range 2 {
		require.Equal(t, http.StatusOK, h.webhook(good.ID, good.Body).status)
	}
	forged := h.ask("", http.MethodPost, "/webhooks/clerk", "{}", "svix-id", "msg_1", "svix-timestamp", "1", "svix-signature", "v1,x")
	require.Equal(t, http.StatusBadRequest, forged.status)
	require.Equal(t, http.StatusRequestEntityTooLarge, h.webhook("msg_2", make([]byte, 2<<20)).status)
}

// webhook posts a body as Clerk would, signed.
func (h *house) webhook(id string, body []byte) answer {
	h.t.Helper()
	signer, err := svix.NewWebhook(h.Secret)
	require.NoError(h.t, err)
	now := time.Now()
	signature, err := signer.Sign(id, now, body)
	require.NoError(h.t, err)
	return h.ask("", http.MethodPost, "/webhooks/clerk", string(body),
		"svix-id", id, "svix-timestamp", strconv.FormatInt(now.Unix(), 10), "svix-signature", signature)
}
