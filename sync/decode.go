package sync

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// decoder reads one event's data into facts. It collects all errors, so that operators see each of
// them in the quarantine.
type decoder struct {
	version    Version
	receivedAt int64    // when a deletion became known here, epoch milliseconds
	errs       *[]error // of this decoder and of the stubs that it reads
}

// Decode reads what a delivery says about the mirror. known is false for an event that the mirror
// doesn't need. Errors wrap [ErrUndecodable].
func Decode(d Delivery) (facts Facts, known bool, err error) {
	decode := decoderOf(d.Type)
	if decode == nil {
		return Facts{}, false, nil
	}
	envelope, err := parseObject(d.Body)
	if err != nil {
		return Facts{}, true, err
	}
	data := envelope.child("data").value
	dec := &decoder{
		version:    Version{Rank: RankFull, Kind: d.Type.kind(), OccurredAt: d.OccurredAt, DeliveryID: d.ID},
		receivedAt: d.ReceivedAt.UnixMilli(), errs: new([]error),
	}
	dec.version = dec.version.dated(data.millis("updated_at"))
	facts = decode(dec, data)
	if len(*dec.errs) > 0 && dec.version.Kind == KindDeleted { // to end access, the id is enough
		*dec.errs = nil
		facts = decode(dec, slices.DeleteFunc(slices.Clone(data), func(m namedValue) bool { return string(m.name) != "id" }))
	}
	if err := errors.Join(*dec.errs...); err != nil {
		return Facts{}, true, err
	}
	return facts, true, nil
}

func (dec *decoder) check(err error) {
	if err != nil {
		*dec.errs = append(*dec.errs, err)
	}
}

// id reads an object's id, which must carry Clerk's prefix. So an event with a user's id can't make
// an organization.
func (dec *decoder) id(o object, name, prefix string) string {
	m := o.text(name)
	dec.check(m.err)
	if m.err == nil && (!strings.HasPrefix(m.value, prefix) || len(m.value) == len(prefix)) {
		dec.check(fmt.Errorf("%w: member %q is not a %s… id", ErrUndecodable, name, prefix))
	}
	return m.value
}

// tombstone returns the tombstone that a deletion sets; of another event, the zero one.
func (dec *decoder) tombstone() Tombstone {
	if dec.version.Kind != KindDeleted {
		return Tombstone{}
	}
	return Tombstone{OccurredAt: dec.version.OccurredAt, DeliveryID: dec.version.DeliveryID, ReceivedAt: dec.receivedAt}
}

// stub returns a decoder for a nested copy, whose version has the rank of a stub. A copy shows its
// object as of the event, so the version has the event's time. It doesn't have the event's
// updated_at: that belongs to the object around the copy, and in a deletion it is old.
func (dec *decoder) stub() *decoder {
	v := dec.version
	v.Rank, v.UpdatedAt, v.Undated = RankStub, v.OccurredAt, false
	return &decoder{version: v, errs: dec.errs}
}

// set makes a register of a member. An absent member writes nothing. A value of an unexpected type
// writes nothing either, so that the rest of its event counts.
func set[T any](dec *decoder, m member[T]) Field[T] {
	if !m.present || m.err != nil {
		return Field[T]{}
	}
	return Field[T]{Value: m.value, Version: dec.version}
}

// setNonNull is set for members whose null means the same as their absence.
func setNonNull[T any](dec *decoder, m member[T]) Field[T] {
	if m.null {
		return Field[T]{}
	}
	return set(dec, m)
}

// setCreated makes a register of a created_at. A date from the future is a clock's error and writes
// nothing.
func setCreated(dec *decoder, o object) Field[int64] {
	m := o.millis("created_at")
	if !dec.version.plausible(m.value) {
		return Field[int64]{}
	}
	return setNonNull(dec, m)
}

// setStrict is setNonNull for members that decide access. A value that can't be read sets the whole
// event aside, so that an operator looks at it.
func setStrict[T any](dec *decoder, m member[T]) Field[T] {
	dec.check(m.err)
	return setNonNull(dec, m)
}
