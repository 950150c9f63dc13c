package clerksim

import (
	"encoding/json"
	"fmt"
	"time"
)

// maxLag is the longest time after a change at which Clerk's events were seen to be stamped.
const maxLag = 20 * time.Millisecond

// Message is one webhook message: what Svix sends, and sends again, to every endpoint.
type Message struct {
	// ID is the svix-id, "msg_" and 27 characters; it is the same in every attempt.
	ID string
	// Type is the event's type, such as "organizationMembership.deleted".
	Type string
	// ObjectID is the id of the object that the event is about.
	ObjectID string
	// Body is the exact bytes to send. Don't change them.
	Body []byte
	// OccurredAt is the envelope's timestamp: 1 to 20 ms after the change, or later where one
	// object changed more often than the clock allows; see [Config.LooseTimestamps].
	OccurredAt time.Time
}

// outbox holds the messages that weren't drained yet. Guarded by World.mu.
type outbox struct {
	messages []Message
	muted    bool
	stamps   map[string]time.Time // the last envelope timestamp, by object id
	filled   chan struct{}
}

func newOutbox() outbox {
	return outbox{stamps: make(map[string]time.Time), filled: make(chan struct{}, 1)}
}

// Drain takes the messages of all changes since the last call, in the order of the changes.
func (w *World) Drain() []Message {
	w.mu.Lock()
	defer w.mu.Unlock()
	taken := w.outbox.messages
	w.outbox.messages = nil
	return taken
}

// Filled returns a channel that receives after a message was emitted. [World.Drain] then returns
// the message, unless another goroutine has drained it. Several messages may share one signal.
// There is one channel, so only one goroutine should wait for it.
func (w *World) Filled() <-chan struct{} { return w.outbox.filled }

// Mute makes changes emit nothing, as if no endpoint existed yet: Clerk sends no webhooks for the
// past.
func (w *World) Mute() { w.setMuted(true) }

// Unmute makes changes emit messages again. The changes in between are never sent.
func (w *World) Unmute() { w.setMuted(false) }

func (w *World) setMuted(muted bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.outbox.muted = muted
}

// Emit puts an event into the outbox that no change of the world caused, such as session.created or
// a type that doesn't exist yet. It fails if data can't be marshalled.
func (w *World) Emit(eventType, objectID string, data any) error {
	raw, err := json.Marshal(data)
	if err != nil {
		return fmt.Errorf("marshal %s: %w", eventType, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.emit(eventType, objectID, w.now(), json.RawMessage(raw))
	return nil
}

// emit must be called with w.mu held, after the change.
func (w *World) emit(eventType, objectID string, changedAt time.Time, data any) {
	if w.outbox.muted {
		return
	}
	at := changedAt.Add(time.Millisecond + time.Duration(w.rng.Int64N(int64(maxLag/time.Millisecond)))*time.Millisecond)
	if last := w.outbox.stamps[objectID]; !w.cfg.LooseTimestamps && !at.After(last) {
		at = last.Add(time.Millisecond)
	}
	w.outbox.stamps[objectID] = at
	w.outbox.messages = append(w.outbox.messages, Message{
		ID:         newID(w.rng, "msg_"),
		Type:       eventType,
		ObjectID:   objectID,
		Body:       w.envelope(eventType, objectID, at, data),
		OccurredAt: at,
	})
	select {
	case w.outbox.filled <- struct{}{}:
	default:
	}
}
