package edge

import (
	"context"
	"io"
)

// body is a request's body. What has arrived takes room; what Content-Length claims takes none. For want of room the rest waits
// in the kernel.
type body struct {
	io.ReadCloser
	guard   *Guard
	conn    *conn
	context context.Context //nolint:containedctx // of the request, which a Read can't be given
	length  int64           // -1 if it isn't known
	arrived int64
	room    int64 // what the body may take by now
	begun   bool
	whole   bool
}

// Read implements [io.Reader]. It returns [ErrCrowded] once the caller was cut.
func (b *body) Read(p []byte) (int, error) {
	if !b.begun {
		b.begin()
	}
	if !b.whole && b.left() > 0 {
		if b.arrived >= b.room && !b.grow() {
			return 0, ErrCrowded
		}
		p = p[:min(int64(len(p)), b.room-b.arrived)]
	}
	n, err := b.ReadCloser.Read(p)
	b.arrived += int64(n)
	if b.conn.cut.Load() && !b.whole {
		return 0, ErrCrowded
	}
	if err != nil && !b.whole { // also at the end of the body, which comes with its last bytes
		b.whole = true
		b.guard.enter(b.conn, stepAnswering)
	}
	return n, err
}

// begin gives the body what its head has left of the room that needn't be asked for.
func (b *body) begin() {
	b.begun = true
	b.room = max(0, ownRoom-b.conn.head)
	b.guard.enter(b.conn, stepReceiving)
}

// grow asks for as much room again as the body has filled. Its reader's buffer grows alike. So a large body asks only a few times.
func (b *body) grow() bool {
	b.room += min(max(bodyStep, b.arrived), b.left())
	return b.guard.hasRoom(b.context, b.conn, b.conn.head+b.room, patience)
}

// left is how much may still come.
func (b *body) left() int64 {
	if b.length < 0 {
		return bodyStep + b.arrived
	}
	return b.length - b.arrived
}
