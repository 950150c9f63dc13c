package sync

import (
	"strings"
	"unicode/utf8"
)

// RequestOrigin is where the request came from that made a change at Clerk, as the webhook says. It
// doesn't say who sent the request.
type RequestOrigin struct {
	ClientIP  string // as Clerk writes it; "" if Clerk names none
	UserAgent string // as the client sent it, at most [MaxUserAgent] bytes; "" if Clerk names none
}

// MaxUserAgent is how much of a user agent is read, in bytes. A browser's has some 200.
const MaxUserAgent = 512

// RequestOriginOf reads the origin from the body of a delivery. It is zero if the body has none.
func RequestOriginOf(body []byte) (o RequestOrigin) {
	envelope, err := parseObject(body)
	if err != nil {
		return o
	}
	request := envelope.child("event_attributes").value.child("http_request").value
	o.ClientIP = request.text("client_ip").value
	o.UserAgent = request.text("user_agent").value
	if len(o.UserAgent) > MaxUserAgent {
		o.UserAgent = strings.ToValidUTF8(o.UserAgent[:MaxUserAgent], "")
	}
	if !utf8.ValidString(o.UserAgent) {
		o.UserAgent = ""
	}
	return o
}

// ActorUnnamed reports whether an entry records a change whose delivery doesn't name its actor.
// Only the delivery's [RequestOrigin] then says where the change came from. A change that was asked
// for through Rolecall has an actor; the request to Clerk was then Rolecall's own.
func (e LoggedEntry) ActorUnnamed() bool {
	return e.Actor == nil && strings.HasPrefix(e.Cause, deliveryPrefix)
}

// deliveryPrefix begins the svix-ids of deliveries.
const deliveryPrefix = "msg_"
