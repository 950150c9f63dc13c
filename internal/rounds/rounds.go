package rounds

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"time"
)

// ErrFull says that too many questions wait. Nothing was asked.
var ErrFull = errors.New("too many questions wait for the database")

// errUnanswered is the error of questions whose round panicked.
var errUnanswered = errors.New("the round ended without an answer")

// Config configures [Rounds]. All of it is required, unless it says otherwise.
type Config[Q, A any] struct {
	// Ask asks questions in one round trip, and returns an answer to each, in their order. Its
	// context has the deadline of the caller who leads the round, and doesn't end with any caller.
	Ask func(ctx context.Context, questions []Q) ([]A, error)
	// Refused reports whether an error may be the fault of a single question. The callers of a
	// failed round are then asked for one by one. Optional: without it, all of them get the error.
	Refused func(error) bool
	// AtOnce is how many rounds may be under way at once.
	AtOnce int
	// Worth is how many questions a round must have to be under way beside another one. Fewer wait
	// until that one ends, because a round costs as much as many questions. Optional: 0 lets all
	// begin.
	Worth int
	// Patience is after which time a round counts as stuck: the next question then begins another
	// one, and takes along those that wait.
	Patience time.Duration
	// Batch is how many questions a round takes before it takes no further caller.
	Batch int
	// Waiting is how many questions may wait. Further ones get [ErrFull].
	Waiting int
}

// Rounds lets callers share round trips. It is safe for concurrent use.
type Rounds[Q, A any] struct {
	cfg Config[Q, A]

	mu       sync.Mutex
	underway int             // rounds, each with a leader
	began    time.Time       // the newest of them
	waiting  []*caller[Q, A] // for a round, the first first
	pending  int             // questions of the waiting
}

// caller is a call of Ask that waits for its answers.
type caller[Q, A any] struct {
	questions []Q
	answers   []A
	err       error
	cut       bool // the round failed at the deadline of its leader, who was another caller

	// woken gets true if the caller is to lead the next round, and false if it was answered. It
	// holds one value, so that waking never waits.
	woken chan bool
}

// New returns rounds, none of which is under way.
func New[Q, A any](cfg Config[Q, A]) *Rounds[Q, A] { return &Rounds[Q, A]{cfg: cfg} }

// Ask returns an answer to each question, in their order. All answers to one caller are of the same
// round. It returns when ctx ends, if the caller waits by then, or at the deadline of ctx.
func (r *Rounds[Q, A]) Ask(ctx context.Context, questions ...Q) ([]A, error) {
	for {
		c := &caller[Q, A]{questions: questions, err: errUnanswered}
		if err := r.await(ctx, c); err != nil {
			return nil, err
		}
		switch {
		case c.err == nil:
			return c.answers, nil
		case ctx.Err() != nil:
			return nil, errors.Join(ctx.Err(), c.err)
		case !c.cut: // else there is time left for another round
			return nil, c.err
		}
	}
}

// await returns once a caller is answered.
func (r *Rounds[Q, A]) await(ctx context.Context, c *caller[Q, A]) error {
	leads, err := r.enter(c)
	if err != nil {
		return err
	}
	if !leads {
		select {
		case leads = <-c.woken:
		case <-ctx.Done():
			r.leave(c)
			return ctx.Err()
		}
	}
	if leads {
		r.lead(ctx, c)
	}
	return nil
}

// enter lets a caller lead a round, if another may begin, or else wait for one.
func (r *Rounds[Q, A]) enter(c *caller[Q, A]) (leads bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.underway == 0, r.underway < r.cfg.AtOnce && (r.pending+len(c.questions) >= r.cfg.Worth || time.Since(r.began) > r.cfg.Patience):
		r.underway++
		return true, nil
	case r.pending+len(c.questions) > r.cfg.Waiting:
		return false, ErrFull
	}
	c.woken = make(chan bool, 1)
	r.waiting = append(r.waiting, c)
	r.pending += len(c.questions)
	return false, nil
}

// leave takes a caller out who doesn't wait any more. If it was to lead a round, the next one does.
func (r *Rounds[Q, A]) leave(c *caller[Q, A]) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, other := range r.waiting {
		if other == c {
			r.waiting = append(r.waiting[:i:i], r.waiting[i+1:]...)
			r.pending -= len(c.questions)
			return
		}
	}
	select {
	case leads := <-c.woken:
		if leads {
			r.handOver()
		}
	default: // its round is under way: the answer is dropped
	}
}

// lead asks the leader's questions together with those that wait, and answers all. The next leader
// is woken first: the database needn't wait for our answers to be written. The leader first lets
// those callers run whose requests have arrived: a round with them costs little more than without.
func (r *Rounds[Q, A]) lead(ctx context.Context, leader *caller[Q, A]) {
	runtime.Gosched()
	batch := r.gather(leader)
	defer func() { // also after a panic: no caller may wait for ever
		r.mu.Lock()
		r.handOver()
		r.mu.Unlock()
		for _, c := range batch[1:] {
			c.woken <- false
		}
	}()
	asking := context.WithoutCancel(ctx)
	if deadline, bounded := ctx.Deadline(); bounded {
		var cancel context.CancelFunc
		asking, cancel = context.WithDeadline(asking, deadline)
		defer cancel()
	}
	r.ask(asking, batch)
	for _, c := range batch[1:] {
		c.cut = c.err != nil && asking.Err() != nil
	}
}

// gather takes waiting callers into the leader's round. A leader who waited is out of the queue
// already.
func (r *Rounds[Q, A]) gather(leader *caller[Q, A]) []*caller[Q, A] {
	batch, size := []*caller[Q, A]{leader}, len(leader.questions)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.began = time.Now()
	for len(r.waiting) > 0 && size < r.cfg.Batch {
		next := r.next()
		batch, size = append(batch, next), size+len(next.questions)
	}
	return batch
}

// next takes the first caller out of the queue.
func (r *Rounds[Q, A]) next() *caller[Q, A] {
	first := r.waiting[0]
	r.waiting[0] = nil // it must not outlive its request
	r.waiting = r.waiting[1:]
	r.pending -= len(first.questions)
	return first
}

// handOver lets the first of the waiting lead in place of a leader who has ended, unless they are
// left to another round.
func (r *Rounds[Q, A]) handOver() {
	if len(r.waiting) == 0 || r.underway > 1 && r.pending < r.cfg.Worth {
		r.underway--
		return
	}
	r.next().woken <- true
}

// ask asks the questions of a batch. If one of them may be at fault, each caller is asked for
// alone, so that others get their answers.
func (r *Rounds[Q, A]) ask(ctx context.Context, batch []*caller[Q, A]) {
	questions := batch[0].questions
	if len(batch) > 1 {
		questions = nil
		for _, c := range batch {
			questions = append(questions, c.questions...)
		}
	}
	answers, err := r.cfg.Ask(ctx, questions)
	if err != nil && len(batch) > 1 && r.cfg.Refused != nil && r.cfg.Refused(err) {
		for i := range batch {
			r.ask(ctx, batch[i:i+1])
		}
		return
	}
	for _, c := range batch {
		if c.err = err; err == nil {
			c.answers, answers = answers[:len(c.questions):len(c.questions)], answers[len(c.questions):]
		}
	}
}
