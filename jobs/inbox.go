package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/callmine/rolecall/jobs/merge"
	"github.com/callmine/rolecall/store"
	clerksync "github.com/callmine/rolecall/sync"
)

const (
	// collectors is how many commits may be under way at once. While one is, the next batch gathers.
	// A commit makes a job, and a job costs as much as some deliveries: two collectors took 16
	// callers a tenth more processor time a delivery.
	collectors = 1
	// inboxCapacity is how many deliveries may wait for a commit. If more come, the database can't
	// keep up. Clerk is then told at once to try again later, and needn't wait until its time-out.
	inboxCapacity = 1024
	// acceptTimeout is how long a caller waits at most. It is below Clerk's own limit of 15 s, so
	// that Clerk gets the failure.
	acceptTimeout = 10 * time.Second
	// copyTries is how often a delivery is tried again while another session has locked a copy of
	// it. Together they take a second, or two if each waits for the lock.
	copyTries = 20
)

// Errors of [Inbox.Accept] after which nothing is stored.
var (
	ErrInboxFull    = errors.New("inbox is full")
	ErrInboxStopped = errors.New("inbox is stopped")
	// ErrCopyLocked means that the delivery can't be stored now, or can't replace its quarantined
	// copy.
	ErrCopyLocked = errors.New("another session has locked a copy of the delivery")
)

// InboxConfig configures an [Inbox].
type InboxConfig struct {
	// Pool is where deliveries are committed. It should serve nothing else, so that accepting never
	// waits for others. Its sessions should wait for locks only briefly: a batch waits as long as
	// one of its deliveries does. It may go through a pooler in transaction mode.
	Pool merge.DB
	// InstanceID returns the Clerk instance whose deliveries are ours (ins_…). Deliveries of other
	// instances are quarantined. If it is nil or returns "", every instance is ours.
	InstanceID func() string
	// Logger gets one line for each failed commit and each quarantined delivery.
	Logger *slog.Logger
	// Ended is called with the state of each delivery that ends in the inbox: ignored or
	// quarantined. Optional.
	Ended func(clerksync.State)
	// Acknowledged remembers each delivery that the ledger has, before Accept returns. Optional.
	Acknowledged *Acknowledged
}

func (c InboxConfig) validate() error {
	if c.Pool == nil {
		return errors.New("inbox: Pool is missing")
	}
	if c.Logger == nil {
		return errors.New("inbox: Logger is missing")
	}
	return nil
}

// Inbox commits deliveries to the ledger together with the jobs that apply them. Deliveries that
// arrive during a commit share the next one. Under load a commit carries many deliveries. Otherwise
// each delivery is committed at once and alone.
type Inbox struct {
	cfg     InboxConfig
	waiting chan *entry
	wg      sync.WaitGroup // of the collectors
	wakes   wakes

	// mu keeps new entries out of waiting once that is closed. Stop answers every caller whose
	// entry is there by then.
	mu      sync.RWMutex
	stopped bool
}

// entry is a delivery that waits for its commit.
type entry struct {
	caller   context.Context //nolint:containedctx // says whether the caller still waits for the answer
	delivery clerksync.Delivery
	receipt  clerksync.Receipt
	err      error
	done     chan struct{} // closed once receipt and err are set
	tries    int           // that met a locked copy
}

// NewInbox starts an inbox. Stop ends it.
func NewInbox(cfg InboxConfig) (*Inbox, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if cfg.Ended == nil {
		cfg.Ended = func(clerksync.State) {}
	}
	if cfg.InstanceID == nil {
		cfg.InstanceID = func() string { return "" }
	}
	if cfg.Acknowledged == nil {
		cfg.Acknowledged = &Acknowledged{}
	}
	inbox := &Inbox{cfg: cfg, waiting: make(chan *entry, inboxCapacity)}
	inbox.wakes.send = func(ctx context.Context) error { return wake(ctx, cfg.Pool, QueueApply) }
	for range collectors {
		inbox.wg.Go(inbox.collect)
	}
	return inbox, nil
}

// Accept puts a delivery into the ledger and returns once that is committed. A delivery whose
// svix-id is known is a repeat and changes nothing. If the known copy is quarantined, the new one
// takes its place.
//
// After an error the delivery may be stored or not, and the sender should send it again. Accept
// returns after [acceptTimeout] at the latest, however long the queue is.
func (in *Inbox) Accept(ctx context.Context, d clerksync.Delivery) (receipt clerksync.Receipt, err error) {
	admit(&d, in.cfg.InstanceID())
	ctx, cancel := context.WithTimeout(ctx, acceptTimeout)
	defer cancel()
	ctx, end := startAccept(ctx, d)
	defer func() { end(err) }()
	e := &entry{caller: ctx, delivery: d, done: make(chan struct{})}
	if err := in.enter(e); err != nil {
		return clerksync.Receipt{}, err
	}
	select {
	case <-e.done:
		return e.receipt, e.err
	case <-ctx.Done():
		return clerksync.Receipt{}, fmt.Errorf("accept delivery: %w", ctx.Err())
	}
}

// enter puts an entry into the queue without waiting.
func (in *Inbox) enter(e *entry) error {
	in.mu.RLock()
	defer in.mu.RUnlock()
	if in.stopped {
		return ErrInboxStopped
	}
	select {
	case in.waiting <- e:
		return nil
	default:
		return ErrInboxFull
	}
}

// Stop commits the waiting deliveries and ends the inbox. Accept then returns [ErrInboxStopped].
func (in *Inbox) Stop() {
	in.close()
	in.wg.Wait()
	in.wakes.stop()
}

func (in *Inbox) close() {
	in.mu.Lock()
	defer in.mu.Unlock()
	if !in.stopped {
		in.stopped = true
		close(in.waiting)
	}
}

// collect commits batches, one after the other, until the inbox is stopped and empty.
func (in *Inbox) collect() {
	for e := range in.waiting {
		in.commit(in.gather(e))
	}
}

// gather makes a batch of the first delivery and those that wait already.
func (in *Inbox) gather(first *entry) []*entry {
	batch := []*entry{first}
	for len(batch) < MaxBatch {
		select {
		case e, open := <-in.waiting:
			if !open {
				return batch
			}
			batch = append(batch, e)
		default:
			return batch
		}
	}
	return batch
}

// commit stores a batch and answers its callers. Almost all deliveries are new, so their stage is
// first, and the second one has only repeats.
func (in *Inbox) commit(batch []*entry) {
	repeats := in.run(in.storeNew, batch)
	in.run(in.storeCopies, repeats)
}

// run runs a stage of a batch, answers the callers of the deliveries that it settles, and returns
// the other ones. If the database refuses a delivery of the batch, or another session is writing a
// copy of one, each is tried alone, so that only that one fails. If the database itself fails, they
// aren't tried alone: each could take as long as the batch did.
func (in *Inbox) run(do stage, batch []*entry) (left []*entry) {
	batch = slices.DeleteFunc(batch, func(e *entry) bool { return e.caller.Err() != nil }) // their callers have left
	if len(batch) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), acceptTimeout)
	defer cancel()
	ctx, span := startCommit(ctx, batch)
	left, err := do(ctx, batch)
	endSpan(span, err)
	locked := merge.IsCode(err, merge.LockNotAvailable)
	if (locked || store.Refused(err)) && len(batch) > 1 {
		for _, e := range batch {
			left = append(left, in.run(do, []*entry{e})...)
		}
		return left
	}
	switch {
	case locked:
		err = errors.Join(ErrCopyLocked, err)
	case err != nil:
		in.cfg.Logger.Error("commit deliveries", "error", err, "count", len(batch))
	}
	for _, e := range batch {
		if !slices.Contains(left, e) {
			in.answer(e, err)
		}
	}
	return left
}

// answer gives a caller the result of its delivery's commit.
func (in *Inbox) answer(e *entry, err error) {
	if err != nil {
		e.err = err
	}
	if errors.Is(e.err, ErrCopyLocked) && in.tryLater(e) {
		return
	}
	if e.err == nil {
		in.cfg.Acknowledged.Remember(store.AcknowledgedDelivery, e.delivery.ID)
	}
	close(e.done)
}

// tryLater puts a delivery into the queue again a moment later, because another session writes a
// copy of it. tryLater returns false if no try is left.
func (in *Inbox) tryLater(e *entry) bool {
	if e.tries++; e.tries > copyTries {
		return false
	}
	e.err = nil
	time.AfterFunc(merge.LockWait, func() {
		if err := in.enter(e); err != nil {
			e.err = err
			close(e.done)
		}
	})
	return true
}

// admit quarantines a delivery of another Clerk instance, such as an example that the dashboard
// sends. A delivery that names no instance is ours. If our instance isn't known, every delivery is
// ours.
func admit(d *clerksync.Delivery, instanceID string) {
	if instanceID != "" && d.InstanceID != "" && d.InstanceID != instanceID && d.State == clerksync.StateReceived {
		d.Quarantine("delivery of another Clerk instance: " + d.InstanceID)
	}
}
