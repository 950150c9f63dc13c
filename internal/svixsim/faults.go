package svixsim

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/callmine/rolecall/internal/clerksim"
)

// streamFaults is the stream of randomness that makes plans.
const streamFaults = 3

// replayAfter is the default of [Faults.ReplayAfter]: an operator looks at the dashboard some hours
// later.
const replayAfter = 6 * time.Hour

// maxRepeats is how many times at most a repeated message is sent again.
const maxRepeats = 3

// Faults says how badly messages are treated. Its zero value sends each once, in order. Rates are
// probabilities: a fault never happens at 0 or less, and always at 1 or more.
type Faults struct {
	// Seed decides everything random here.
	Seed uint64
	// Drop is the rate of messages that are never sent.
	Drop float64
	// Repeat is the rate of messages that are sent up to three times more, anywhere later.
	Repeat float64
	// Delay is the rate of messages that come up to MaxDelay later than their turn.
	Delay float64
	// MaxDelay is on the courier's clock. Defaults to a minute.
	MaxDelay time.Duration
	// Replay is the rate of messages that are sent again by hand, in the dashboard: long after,
	// acknowledged or not, with the old id and body, stamped and signed anew.
	Replay float64
	// ReplayAfter is how long after its first send a message is replayed, on the courier's clock.
	// Defaults to 6 hours.
	ReplayAfter time.Duration
	// Window is the size of the groups within which sends are shuffled. If it is the length of the
	// plan, any order may come out. Defaults to 0: no shuffling.
	Window int
}

// Step is one send of a plan.
type Step struct {
	// Message is what to send. One that occurs in several steps is repeated.
	Message clerksim.Message
	// At is when, counted from the start of the plan on the courier's clock. Steps of one time go
	// in the plan's order.
	At time.Duration
}

// InOrder is the plan that sends each message once. Cutting, repeating and reordering its steps by
// hand gives any history exactly.
func InOrder(messages ...clerksim.Message) []Step {
	steps := make([]Step, len(messages))
	for i, message := range messages {
		steps[i].Message = message
	}
	return steps
}

// Plan returns the plan of the faults for these messages. The same faults and messages give the
// same plan.
func (f Faults) Plan(messages []clerksim.Message) []Step {
	rng := rand.New(rand.NewPCG(f.Seed, streamFaults))
	var steps []Step
	for _, message := range messages {
		if rng.Float64() >= f.Drop {
			steps = append(steps, Step{Message: message})
		}
	}
	steps = f.repeat(rng, steps)
	f.shuffle(rng, steps)
	f.delay(rng, steps)
	steps = f.replay(rng, steps) // draws last, so that it changes no earlier draw
	slices.SortStableFunc(steps, func(a, b Step) int { return cmp.Compare(a.At, b.At) })
	return steps
}

// repeat merges copies into the steps, each behind its original.
func (f Faults) repeat(rng *rand.Rand, steps []Step) []Step {
	type placed struct {
		Step
		place int
	}
	var all []placed
	for i, step := range steps {
		all = append(all, placed{step, i})
		if rng.Float64() >= f.Repeat {
			continue
		}
		for range 1 + rng.IntN(maxRepeats) {
			all = append(all, placed{step, i + rng.IntN(len(steps)-i)})
		}
	}
	slices.SortStableFunc(all, func(a, b placed) int { return cmp.Compare(a.place, b.place) })
	repeated := make([]Step, len(all))
	for i, p := range all {
		repeated[i] = p.Step
	}
	return repeated
}

func (f Faults) shuffle(rng *rand.Rand, steps []Step) {
	if f.Window < 2 {
		return
	}
	for window := range slices.Chunk(steps, f.Window) {
		rng.Shuffle(len(window), func(i, j int) { window[i], window[j] = window[j], window[i] })
	}
}

func (f Faults) delay(rng *rand.Rand, steps []Step) {
	longest := cmp.Or(f.MaxDelay, time.Minute)
	for i := range steps {
		if rng.Float64() < f.Delay {
			steps[i].At = 1 + time.Duration(rng.Int64N(int64(longest)))
		}
	}
}

// replay appends the replays. A message that occurs several times is replayed after the earliest.
func (f Faults) replay(rng *rand.Rand, steps []Step) []Step {
	if f.Replay <= 0 {
		return steps
	}
	first := make(map[string]time.Duration, len(steps))
	for _, step := range steps {
		if at, sent := first[step.Message.ID]; !sent || step.At < at {
			first[step.Message.ID] = step.At
		}
	}
	var replays []Step
	for _, step := range steps {
		at, undecided := first[step.Message.ID]
		if !undecided {
			continue
		}
		delete(first, step.Message.ID)
		if rng.Float64() < f.Replay {
			replays = append(replays, Step{Message: step.Message, At: at + cmp.Or(f.ReplayAfter, replayAfter)})
		}
	}
	return append(steps, replays...)
}
