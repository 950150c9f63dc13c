package simulator

import "net/http"

// state is the answer of GET /state: everything that a test needs to begin.
type state struct {
	URL             string          `json:"url"`
	Seed            uint64          `json:"seed"`
	InstanceID      string          `json:"instance_id"`
	Issuer          string          `json:"issuer"`
	AuthorizedParty string          `json:"authorized_party"`
	SecretKey       string          `json:"secret_key"`
	PublishableKey  string          `json:"publishable_key"`
	WebhookSecret   string          `json:"webhook_secret"`
	Endpoints       []endpointState `json:"endpoints"`
	Switches        Switches        `json:"switches"`
	Cast            Cast            `json:"cast"`
}

type endpointState struct {
	URL      string `json:"url"`
	Disabled bool   `json:"disabled"`
	Missed   int    `json:"missed"`
}

func (s *Simulator) showState(*http.Request) (any, error) {
	s.courier.Pull()
	found := state{
		URL: s.URL(), Seed: s.cfg.Seed, InstanceID: s.world.InstanceID(), Issuer: s.world.Issuer(),
		AuthorizedParty: s.world.AuthorizedParty(), SecretKey: s.world.SecretKey(), PublishableKey: s.world.PublishableKey(),
		WebhookSecret: s.WebhookSecret(), Endpoints: []endpointState{}, Switches: s.Switches(), Cast: s.shownCast(),
	}
	for i, endpoint := range s.sendsTo() {
		found.Endpoints = append(found.Endpoints, endpointState{endpoint.URL, s.courier.Disabled(i), len(s.courier.Missed(i))})
	}
	return found, nil
}

func (s *Simulator) showSwitches(*http.Request) (any, error) { return s.Switches(), nil }

func (s *Simulator) putSwitches(req *http.Request) (any, error) {
	var wanted Switches
	if err := readControl(req, &wanted); err != nil {
		return nil, err
	}
	if err := s.Switch(wanted); err != nil {
		return nil, badInput("%v", err)
	}
	return s.Switches(), nil
}

func (s *Simulator) showMail(req *http.Request) (any, error) {
	return map[string]any{"mail": s.Mail(req.URL.Query().Get("to"))}, nil
}
