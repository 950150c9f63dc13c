package svixsim

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/callmine/rolecall/internal/clerksim"
)

// Deliver sends messages with the given faults and retries on the schedule, until each is
// acknowledged by every endpoint, dropped, or given up. It returns one result for each message, in
// their order. Sends are made one at a time, so that one plan and one receiver give one history. An
// error means that ctx ended.
func (c *Courier) Deliver(ctx context.Context, messages []clerksim.Message, faults Faults) ([]Result, error) {
	played, err := c.Play(ctx, faults.Plan(messages))
	byID := make(map[string]Result, len(played))
	for _, result := range played {
		byID[result.MessageID] = result
	}
	results := make([]Result, len(messages))
	for i, message := range messages {
		result, sent := byID[message.ID]
		if !sent {
			result = Result{MessageID: message.ID, Outcome: Dropped}
		}
		results[i] = result
	}
	return results, err
}

// Play sends the steps of a plan at their times, and retries failed ones on the schedule. It
// returns one result for each message of the plan, in the order in which they first occur. A repeat
// is any step of a message but the first that the plan lists. It is sent even if the message was
// acknowledged, and has no retries of its own. An error means that ctx ended; the results are those
// until then.
func (c *Courier) Play(ctx context.Context, steps []Step) ([]Result, error) {
	p := &play{courier: c, parcels: make(map[string]*parcel)}
	for _, step := range steps {
		p.add(step)
	}
	err := p.run(ctx)
	results := make([]Result, len(p.order))
	for i, parcel := range p.order {
		results[i] = parcel.result(len(c.endpoints()))
	}
	return results, err
}

// play is one run of a plan: a queue of sends on a clock that only waiting moves.
type play struct {
	courier *Courier
	queue   []send // soonest first
	clock   time.Duration
	entries int
	parcels map[string]*parcel
	order   []*parcel
}

// parcel is one message on its way to every endpoint.
type parcel struct {
	message      clerksim.Message
	attempts     []Attempt
	acknowledged map[int]bool // by endpoint
	disabled     map[int]bool
	made         map[int]int // attempts so far, by endpoint
}

// send is one entry of the queue.
type send struct {
	parcel   *parcel
	endpoint int
	at       time.Duration
	entry    int // breaks ties: first come, first served
	try      int // place in the schedule, from 0
	repeat   bool
}

func (p *play) add(step Step) {
	found, repeat := p.parcels[step.Message.ID]
	if !repeat {
		found = &parcel{
			message:      step.Message,
			acknowledged: make(map[int]bool),
			disabled:     make(map[int]bool),
			made:         make(map[int]int),
		}
		p.parcels[step.Message.ID] = found
		p.order = append(p.order, found)
	}
	for endpoint := range p.courier.endpoints() {
		at := step.At
		if !repeat {
			at += p.courier.cfg.Schedule[0]
		}
		p.push(send{parcel: found, endpoint: endpoint, at: at, repeat: repeat})
	}
}

func (p *play) push(s send) {
	p.entries++
	s.entry = p.entries
	at, _ := slices.BinarySearchFunc(p.queue, s, func(a, b send) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.entry, b.entry))
	})
	p.queue = slices.Insert(p.queue, at, s)
}

func (p *play) run(ctx context.Context) error {
	for len(p.queue) > 0 {
		next := p.queue[0]
		p.queue = p.queue[1:]
		if next.pointless() {
			continue
		}
		if next.at > p.clock {
			if err := p.courier.wait(ctx, next.at-p.clock); err != nil {
				return fmt.Errorf("wait to send message %s: %w", next.parcel.message.ID, err)
			}
			p.clock = next.at
		}
		if err := p.make(ctx, next); err != nil {
			return err
		}
	}
	return nil
}

// pointless reports whether this retry isn't needed, because a repeat was acknowledged meanwhile.
func (s send) pointless() bool { return s.try > 0 && s.parcel.acknowledged[s.endpoint] }

func (p *play) make(ctx context.Context, s send) error {
	if p.courier.receiver(s.endpoint).skips(s.parcel.message) {
		s.parcel.disabled[s.endpoint] = true
		return nil
	}
	s.parcel.made[s.endpoint]++
	attempt := p.courier.attempt(ctx, s.endpoint, s.parcel.message, s.parcel.made[s.endpoint])
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("send message %s: %w", s.parcel.message.ID, err)
	}
	s.parcel.attempts = append(s.parcel.attempts, attempt)
	if attempt.Acknowledged() {
		s.parcel.acknowledged[s.endpoint] = true
		return nil
	}
	s.try++
	if schedule := p.courier.cfg.Schedule; !s.repeat && s.try < len(schedule) {
		s.at = p.clock + schedule[s.try]
		p.push(s)
	}
	return nil
}

func (p *parcel) result(endpoints int) Result {
	result := Result{MessageID: p.message.ID, Attempts: p.attempts}
	for endpoint := range endpoints {
		switch {
		case p.acknowledged[endpoint]:
		case p.disabled[endpoint]:
			result.Outcome = max(result.Outcome, Disabled)
		default:
			result.Outcome = max(result.Outcome, Failed)
		}
	}
	return result
}
