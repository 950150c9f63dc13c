package simulator

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/callmine/rolecall/internal/svixsim"
)

// maxDelay is the longest delay of webhooks. Nobody wants to wait longer for a demonstration.
const maxDelay = 10 * time.Minute

// Switches break webhooks and API while everything runs. The zero value is a Clerk without faults.
type Switches struct {
	// Delay is how much later each webhook is sent.
	Delay time.Duration
	// Drop loses each webhook for ever.
	Drop bool
	// Repeat sends each webhook three times.
	Repeat bool
	// Reorder sends webhooks that come within five seconds in reverse order. One that nothing follows
	// is sent after the five seconds.
	Reorder bool
	// EndpointDisabled sends nothing, as Svix does after five days of failures. What is missed stays
	// missed until [Simulator.Recover].
	EndpointDisabled bool
	// ClerkDown answers the Backend API and the keys with 503. Webhooks are sent all the same.
	ClerkDown bool
}

// switchesBody is the JSON of [Switches].
type switchesBody struct {
	DelayMS          int64 `json:"delay_ms"`
	Drop             bool  `json:"drop"`
	Repeat           bool  `json:"repeat"`
	Reorder          bool  `json:"reorder"`
	EndpointDisabled bool  `json:"endpoint_disabled"`
	ClerkDown        bool  `json:"clerk_down"`
}

// MarshalJSON writes the delay in milliseconds.
func (s Switches) MarshalJSON() ([]byte, error) {
	return json.Marshal(switchesBody{ //nolint:wrapcheck // plain values don't fail
		DelayMS: s.Delay.Milliseconds(), Drop: s.Drop, Repeat: s.Repeat, Reorder: s.Reorder,
		EndpointDisabled: s.EndpointDisabled, ClerkDown: s.ClerkDown,
	})
}

// UnmarshalJSON reads what MarshalJSON writes. A missing switch is off, an unknown one an error.
func (s *Switches) UnmarshalJSON(text []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	var body switchesBody
	if err := decoder.Decode(&body); err != nil {
		return fmt.Errorf("read switches: %w", err)
	}
	if limit := maxDelay.Milliseconds(); body.DelayMS < 0 || body.DelayMS > limit {
		return fmt.Errorf("read switches: delay_ms is %d: want 0 to %d", body.DelayMS, limit)
	}
	*s = Switches{
		Delay: time.Duration(body.DelayMS) * time.Millisecond, Drop: body.Drop, Repeat: body.Repeat, Reorder: body.Reorder,
		EndpointDisabled: body.EndpointDisabled, ClerkDown: body.ClerkDown,
	}
	return nil
}

func (s Switches) validate() error {
	if s.Delay < 0 || s.Delay > maxDelay {
		return fmt.Errorf("a delay of %s is out of range: want 0 to %s", s.Delay, maxDelay)
	}
	return nil
}

// Switches returns the faults that are on now. An endpoint may also have been disabled because it
// failed for too long, or asked for it.
func (s *Simulator) Switches() Switches {
	s.mu.Lock()
	defer s.mu.Unlock()
	live := s.courier.Faults()
	return Switches{
		Delay: live.Delay, Drop: live.Drop, Repeat: live.Repeat, Reorder: live.Reorder,
		EndpointDisabled: live.Disabled, ClerkDown: s.up != nil,
	}
}

// Switch turns faults on and off: those of changes from now on. Webhooks that were delayed are sent
// when the delay is turned off; dropped ones stay lost. A bad value is an error that names it, and
// then nothing changes.
func (s *Simulator) Switch(to Switches) error {
	if err := to.validate(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.courier.Switch(svixsim.LiveFaults{
		Delay: to.Delay, Drop: to.Drop, Repeat: to.Repeat, Reorder: to.Reorder, Disabled: to.EndpointDisabled,
	})
	switch {
	case to.ClerkDown && s.up == nil:
		s.up = s.faults.Down()
	case !to.ClerkDown && s.up != nil:
		s.up()
		s.up = nil
	}
	s.changes.note()
	return nil
}
