package edge

import (
	"context"
	"io"
)

// body is a request's body. Bytes that have arrived take room; the length that Content-Length
// claims takes none. Without room, the rest of the body waits in the kernel.
type body struct {
	io.ReadCloser
	guard   *Guard
	conn    *conn
	context context.Context //nolint:containedctx // of the request, because Read takes none
	length  int64           // -1 if it isn't known
	arrived int64
	room    int64 // how many bytes the body may take by now
	begun   bool
	whole   bool
}

// Read implements [io.Reader]. It returns [ErrCrowded] after the caller was cut.
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
	if err != nil && !b.whole { // io.EOF may come with the last bytes
		b.whole = true
		b.guard.enter(b.conn, stepAnswering)
	}
	return n, err
}

// begin gives the body the rest of ownRoom, which the head has left.
func (b *body) begin() {
	b.begun = true
	b.room = max(0, ownRoom-b.conn.head)
	b.guard.enter(b.conn, stepReceiving)
}

// grow asks for as much room again as the body has filled. So a large body asks only a few times.
// The buffers of readers grow alike.
func (b *body) grow() bool {
	b.room += min(max(bodyStep, b.arrived), b.left())
	return b.guard.hasRoom(b.context, b.conn, b.conn.head+b.room, patience)
}

// left returns how many bytes may still arrive.
func (b *body) left() int64 {
	if b.length < 0 {
		return bodyStep + b.arrived
	}
	return b.length - b.arrived
}
