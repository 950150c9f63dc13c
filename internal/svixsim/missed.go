package svixsim

import (
	"context"
	"fmt"
	"slices"

	"github.com/callmine/rolecall/internal/clerksim"
)

// missed are the messages that an endpoint didn't acknowledge. The receiver's lock guards it.
type missed struct {
	acknowledged map[string]bool    // by message id; false is missed
	order        []clerksim.Message // of those that ever were missed
}

func newMissed() missed { return missed{acknowledged: make(map[string]bool)} }

// note remembers how an attempt ended, or that there was none. An acknowledged message stays
// acknowledged, whatever its repeats do.
func (m *missed) note(message clerksim.Message, acknowledged bool) {
	before, known := m.acknowledged[message.ID]
	if !known && !acknowledged {
		m.order = append(m.order, message)
	}
	m.acknowledged[message.ID] = before || acknowledged
}

func (m *missed) messages() []clerksim.Message {
	m.order = slices.DeleteFunc(m.order, func(message clerksim.Message) bool { return m.acknowledged[message.ID] })
	return slices.Clone(m.order)
}

// Missed returns the messages that an endpoint, by its index, hasn't acknowledged so far, in the
// order in which it missed them. It includes those that weren't sent because the endpoint was
// disabled, and those that are due for a retry. It leaves out messages that a plan drops.
func (c *Courier) Missed(endpoint int) []clerksim.Message {
	r := c.receiver(endpoint)
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.missed.messages()
}

// Recover sends again all messages that an endpoint, by its index, missed: once, with the old id
// and body, stamped and signed anew, as an operator does in the dashboard after enabling the
// endpoint. Failed ones stay missed. It returns one result for each message, in the order of
// [Courier.Missed]; an error means that ctx ended.
func (c *Courier) Recover(ctx context.Context, endpoint int) ([]Result, error) {
	var results []Result
	for _, message := range c.Missed(endpoint) {
		result := Result{MessageID: message.ID}
		if c.Disabled(endpoint) {
			result.Outcome = Disabled
			results = append(results, result)
			continue
		}
		attempt := c.attempt(ctx, endpoint, message, 1)
		if err := ctx.Err(); err != nil {
			return results, fmt.Errorf("recover message %s: %w", message.ID, err)
		}
		result.Attempts = []Attempt{attempt}
		if !attempt.Acknowledged() {
			result.Outcome = Failed
		}
		results = append(results, result)
	}
	return results, nil
}
