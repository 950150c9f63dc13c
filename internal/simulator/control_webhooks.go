package simulator

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/callmine/rolecall/internal/svixsim"
)

// longestSettle is the longest that a caller may wait for webhooks.
const longestSettle = 5 * time.Minute

func (s *Simulator) showWebhooks(req *http.Request) (any, error) {
	query := req.URL.Query()
	outcomes := []Outcome{"", Waiting, Delivered, Failed, Disabled, Dropped}
	if outcome := Outcome(query.Get("outcome")); !slices.Contains(outcomes, outcome) {
		return nil, badInput("unknown outcome %q: want one of %v", outcome, outcomes[1:])
	}
	found := slices.DeleteFunc(s.Webhooks(), func(w Webhook) bool {
		for name, value := range map[string]string{
			"type": w.Type, "organization_id": w.OrganizationID, "user_id": w.UserID, "outcome": string(w.Outcome),
		} {
			if query.Has(name) && query.Get(name) != value {
				return true
			}
		}
		return false
	})
	return map[string]any{"webhooks": found}, nil
}

func (s *Simulator) postSettle(req *http.Request) (any, error) {
	wanted := struct {
		Seconds float64 `json:"seconds"`
	}{10}
	if err := readControl(req, &wanted); err != nil {
		return nil, err
	}
	if wanted.Seconds <= 0 || wanted.Seconds > longestSettle.Seconds() {
		return nil, badInput("seconds is %v: want more than 0, and at most %v", wanted.Seconds, longestSettle.Seconds())
	}
	ctx, cancel := context.WithTimeout(req.Context(), time.Duration(wanted.Seconds*float64(time.Second)))
	defer cancel()
	err := s.Settle(ctx)
	return map[string]any{"settled": err == nil, "waiting": s.unsettled()}, nil
}

func (s *Simulator) postRecover(req *http.Request) (any, error) {
	if err := readControl(req, &struct{}{}); err != nil {
		return nil, err
	}
	delivered, missed, err := s.Recover(req.Context())
	return map[string]int{"delivered": delivered, "missed": missed}, err
}

func (s *Simulator) postEndpoint(req *http.Request) (any, error) {
	var wanted struct {
		URL    string `json:"url"`
		Secret string `json:"secret"`
	}
	if err := readControl(req, &wanted); err != nil {
		return nil, err
	}
	endpoint := svixsim.Endpoint{URL: wanted.URL}
	if wanted.Secret != "" {
		endpoint.Secrets = []string{wanted.Secret}
	}
	if err := s.SendTo(endpoint); err != nil {
		return nil, badInput("%v", err)
	}
	return map[string]any{"endpoints": len(s.sendsTo())}, nil
}
