package webhooks

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/callmine/rolecall/internal/edge"
	"github.com/callmine/rolecall/internal/request"
	clerksync "github.com/callmine/rolecall/sync"
)

// maxBody is the largest body that is read. It is 1 MiB, many times the size of Clerk's largest
// object.
const maxBody = 1 << 20

// Inbox takes verified deliveries. When Accept returns without an error, the delivery is committed.
type Inbox interface {
	Accept(ctx context.Context, d clerksync.Delivery) (clerksync.Receipt, error)
}

// Outcome says how one request ended. The values are the labels of a metric.
type Outcome string

// The outcomes of a request.
const (
	OutcomeAccepted     Outcome = "accepted"      // committed; 200
	OutcomeRepeated     Outcome = "repeated"      // known svix-id; 200
	OutcomeDiffering    Outcome = "differing"     // known svix-id with another body, which is dropped; 200
	OutcomeQuarantined  Outcome = "quarantined"   // committed, but can't be applied; 200
	OutcomeTooLarge     Outcome = "too_large"     // 413
	OutcomeUnreadable   Outcome = "unreadable"    // the body broke off; 400
	OutcomeBadHeaders   Outcome = "bad_headers"   // 400
	OutcomeBadSignature Outcome = "bad_signature" // 400
	OutcomeCrowded      Outcome = "crowded"       // cut to make room for other callers; 503
	OutcomeUnavailable  Outcome = "unavailable"   // perhaps not committed; 503
	OutcomeAbandoned    Outcome = "abandoned"     // the sender went away before the commit
)

// Outcomes lists all outcomes.
func Outcomes() []Outcome {
	return []Outcome{
		OutcomeAccepted, OutcomeRepeated, OutcomeDiffering, OutcomeQuarantined, OutcomeTooLarge, OutcomeUnreadable,
		OutcomeBadHeaders, OutcomeBadSignature, OutcomeCrowded, OutcomeUnavailable, OutcomeAbandoned,
	}
}

// Committed reports whether the delivery is in the ledger. Then the answer was a 200.
func (o Outcome) Committed() bool {
	switch o {
	case OutcomeAccepted, OutcomeRepeated, OutcomeDiffering, OutcomeQuarantined:
		return true
	default:
		return false
	}
}

// Config configures the handler.
type Config struct {
	// Verifier checks signatures. Required.
	Verifier *Verifier
	// Inbox takes verified deliveries. Required.
	Inbox Inbox
	// Logger gets a line for each refused request, with nothing from the body. It must limit the
	// lines of each outcome, because any sender can cause them. Required.
	Logger *slog.Logger
	// Observe is called with the outcome and the duration of each request. Optional.
	Observe func(Outcome, time.Duration)
}

func (c Config) withDefaults() Config {
	if c.Observe == nil {
		c.Observe = func(Outcome, time.Duration) {}
	}
	return c
}

func (c Config) validate() error {
	switch {
	case c.Verifier == nil:
		return errors.New("webhooks: Verifier is missing")
	case c.Inbox == nil:
		return errors.New("webhooks: Inbox is missing")
	case c.Logger == nil:
		return errors.New("webhooks: Logger is missing")
	default:
		return nil
	}
}

// NewHandler returns the handler of POST /webhooks/clerk.
func NewHandler(cfg Config) (http.Handler, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return &handler{cfg: cfg}, nil
}

type handler struct{ cfg Config }

// ServeHTTP limits, verifies, parses, hands over and answers, in this order.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	start := time.Now()
	outcome, err := h.receive(w, r, start)
	h.cfg.Observe(outcome, time.Since(start))
	if err != nil {
		h.cfg.Logger.WarnContext(r.Context(), "webhook refused", "outcome", outcome, "error", err)
	}
	status, text := answer(outcome)
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text) // an error means that the sender has gone
}

// receive returns the outcome of a request, and the reason of a refusal.
func (h *handler) receive(w http.ResponseWriter, r *http.Request, now time.Time) (Outcome, error) {
	signature, err := ReadSignature(r.Header, now)
	if err != nil { // no body is read for a sender that can't be Clerk
		return unverified(err), err
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return OutcomeTooLarge, err
	}
	if errors.Is(err, edge.ErrCrowded) {
		return OutcomeCrowded, err
	}
	if err != nil {
		return OutcomeUnreadable, err
	}
	if err := h.cfg.Verifier.Verify(signature, body); err != nil {
		return unverified(err), err
	}
	request.Of(r.Context()).Note(slog.String("svix_id", signature.ID))
	delivery := clerksync.NewDelivery(signature.ID, body, signature.SignedAt, now)
	receipt, err := h.cfg.Inbox.Accept(r.Context(), delivery)
	switch {
	case errors.Is(err, context.Canceled):
		return OutcomeAbandoned, err
	case err != nil:
		return OutcomeUnavailable, err
	case receipt.Differs && !receipt.Stored:
		return OutcomeDiffering, nil
	case !receipt.Stored:
		return OutcomeRepeated, nil
	case receipt.Quarantined:
		return OutcomeQuarantined, nil
	default:
		return OutcomeAccepted, nil
	}
}

func unverified(err error) Outcome {
	if errors.Is(err, ErrHeaders) {
		return OutcomeBadHeaders
	}
	return OutcomeBadSignature
}

// answer is the one place that turns outcomes into HTTP. Every refused signature gets the same
// opaque text.
func answer(o Outcome) (status int, text string) {
	switch {
	case o.Committed():
		return http.StatusOK, "ok\n"
	case o == OutcomeTooLarge:
		return http.StatusRequestEntityTooLarge, "body too large\n"
	case o == OutcomeUnavailable || o == OutcomeAbandoned || o == OutcomeCrowded:
		return http.StatusServiceUnavailable, "try again later\n"
	default:
		return http.StatusBadRequest, "bad request\n"
	}
}
