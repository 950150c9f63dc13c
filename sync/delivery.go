package sync

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"
)

// State is where a delivery stands in the ledger. A new delivery is received, or at once ignored or
// quarantined. A received delivery ends in one of the other states. A replay makes a delivery
// received again. A new copy does the same to a quarantined one.
type State string

// The states of a delivery.
const (
	StateReceived    State = "received"    // acknowledged, waiting to be applied
	StateApplied     State = "applied"     // changed the mirror
	StateSuperseded  State = "superseded"  // the mirror already knew this, or something newer
	StateIgnored     State = "ignored"     // an event that the mirror doesn't need
	StateQuarantined State = "quarantined" // can't be applied; an operator can see and replay it
)

// Delivery is one verified webhook message.
type Delivery struct {
	ID             string    // svix-id: the same on every retry, replay and endpoint
	Type           EventType // "" if the body doesn't say
	ObjectID       string    // data.id, "" if the body doesn't say
	OrganizationID string    // org_… that the event is about, "" if none
	InstanceID     string    // ins_…; "" in bodies from 2024 and earlier, which count as ours
	OccurredAt     int64     // the envelope's timestamp, epoch milliseconds
	ReceivedAt     time.Time // when Rolecall received it
	WaitsSince     time.Time // of one that is applied now: when it was received, or replayed last
	Urgency        Urgency   // how soon it must be applied: it may take access away
	Body           []byte    // valid UTF-8, as received but with secrets redacted; nil if it isn't kept
	BodySHA256     [32]byte  // of the bytes as received
	State          State     // StateReceived, StateIgnored, or StateQuarantined with Reason
	Reason         string    // why it is quarantined
}

// Receipt says what happened to a delivery that was put into the ledger.
type Receipt struct {
	Stored      bool // new, or in the place of a quarantined copy; false: a repeat, and nothing was done
	Quarantined bool // stored, but set aside
	Differs     bool // the ledger has a copy with this svix-id and another body
	Busy        bool // not stored: another session has locked the quarantined copy that it would replace
}

// ErrUndecodable is wrapped by every error about a body that can't be read. A retry can't help; a
// newer version might.
var ErrUndecodable = errors.New("undecodable delivery")

// NewDelivery reads the envelope of a verified message. signedAt is the svix-timestamp header. It
// replaces the envelope's timestamp if that is missing, or clearly later than the header.
//
// It accepts every message. One whose envelope can't be read comes back in StateQuarantined, so
// that it is acknowledged and operators see it. If it is JSON, it can be replayed; any other body
// isn't kept.
func NewDelivery(id string, body []byte, signedAt, receivedAt time.Time) Delivery {
	d := Delivery{
		ID: id, OccurredAt: signedAt.UnixMilli(), ReceivedAt: receivedAt, BodySHA256: sha256.Sum256(body),
		State: StateReceived, Body: body,
	}
	if err := d.readEnvelope(); err != nil {
		d.Body = keepable(d.Type, body)
		d.Quarantine(err.Error())
	}
	return d
}

// Quarantine sets the delivery aside for the given reason.
func (d *Delivery) Quarantine(reason string) {
	d.State, d.Reason = StateQuarantined, reason
}

func (d *Delivery) readEnvelope() error {
	envelope, err := parseObject(d.Body)
	if err != nil {
		return err
	}
	eventType, data := envelope.text("type"), envelope.child("data")
	d.Type = EventType(eventType.value)
	instance, occurred := envelope.text("instance_id"), envelope.millis("timestamp")
	if err := errors.Join(eventType.err, instance.err, occurred.err, data.err); err != nil {
		return err
	}
	if eventType.value == "" {
		return fmt.Errorf("%w: no event type", ErrUndecodable)
	}
	if data.value == nil {
		return fmt.Errorf("%w: no data object", ErrUndecodable)
	}
	d.InstanceID = instance.value
	if occurred.value != 0 && occurred.value <= d.OccurredAt+ownSkew { // no event is later than its message's signature
		d.OccurredAt = occurred.value
	}
	d.ObjectID = data.value.text("id").value
	d.OrganizationID = organizationOf(d.Type, data.value)
	d.Urgency = urgencyOf(d.Type, data.value)
	d.Body = kept(d.Type, d.Body)
	if decoderOf(d.Type) == nil {
		d.State = StateIgnored
	}
	return nil
}

// organizationOf returns the organization that an event is about. Only the ledger's filters use it.
func organizationOf(t EventType, data object) string {
	if t.object() == "organization" {
		return data.text("id").value
	}
	if id := data.text("organization_id").value; id != "" {
		return id
	}
	return data.child("organization").value.text("id").value
}

// keepable returns what the ledger may keep of a body. It keeps nothing that isn't JSON: secrets
// can't be found in it, and no later version could read it. The digest stays.
func keepable(t EventType, body []byte) []byte {
	if !utf8.Valid(body) || !json.Valid(body) {
		return nil
	}
	return kept(t, body)
}

// kept is keepable for a body that is known to be JSON. It keeps nothing of an event that the
// mirror never reads.
func kept(t EventType, body []byte) []byte {
	if t != "" && !t.keepsBody() {
		return nil
	}
	return redact(t, body)
}

func parseObject(raw []byte) (object, error) {
	if !utf8.Valid(raw) {
		return nil, fmt.Errorf("%w: not UTF-8", ErrUndecodable)
	}
	if !json.Valid(raw) {
		return nil, fmt.Errorf("%w: not a JSON object", ErrUndecodable)
	}
	switch text := raw[afterSpace(raw, 0):]; text[0] {
	case '{':
		return membersOf(text), nil
	case 'n':
		return nil, fmt.Errorf("%w: null instead of an object", ErrUndecodable)
	default:
		return nil, fmt.Errorf("%w: not a JSON object", ErrUndecodable)
	}
}
