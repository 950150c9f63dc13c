package sync

import (
	"encoding/json"
	"errors"
	"fmt"
)

// Observation is one object as Clerk's API showed it.
type Observation struct {
	Resource Resource
	Object   json.RawMessage // as Clerk sent it
	AskedAt  int64           // when the request began, epoch milliseconds
	Cause    string          // the sweep or look-up that asked
}

// ObservedID reads the id of an object that Clerk's API showed. Errors wrap [ErrUndecodable].
func ObservedID(raw json.RawMessage) (string, error) {
	o, err := parseObject(raw)
	if err != nil {
		return "", err
	}
	id := o.text("id")
	if id.err == nil && id.value == "" {
		id.err = fmt.Errorf("%w: object without id", ErrUndecodable)
	}
	return id.value, id.err
}

// DecodeObservation reads an object from Clerk's API. Its version is ordered as an event's is: by
// updated_at, then by when it was asked for. Errors wrap [ErrUndecodable].
func DecodeObservation(o Observation) (Facts, error) {
	data, err := parseObject(o.Object)
	if err != nil {
		return Facts{}, err
	}
	dec := &decoder{
		version: Version{Rank: RankFull, Kind: KindObserved, OccurredAt: o.AskedAt, DeliveryID: o.Cause}, errs: new([]error),
	}
	dec.version = dec.version.dated(data.millis("updated_at"))
	facts := resourceDecoder(o.Resource)(dec, data)
	if err := errors.Join(*dec.errs...); err != nil {
		return Facts{}, err
	}
	return facts, nil
}

// resourceDecoder returns the decoder of a resource. An object from the API has the shape of an
// event's data.
func resourceDecoder(r Resource) func(*decoder, object) Facts {
	switch r {
	case ResourceOrganization:
		return organizationEvent
	case ResourceUser:
		return userEvent
	case ResourceMembership:
		return membershipEvent
	case ResourceInvitation:
		return invitationEvent
	case ResourceDomain:
		return domainEvent
	case ResourceRole:
		return roleEvent
	case ResourcePermission:
		return permissionEvent
	default:
		return func(dec *decoder, _ object) Facts {
			dec.check(fmt.Errorf("%w: unknown resource %q", ErrUndecodable, r))
			return Facts{}
		}
	}
}
