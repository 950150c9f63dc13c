package edge

import (
	"context"
	"io"
)

// body is a request's body. It isn't read before there is room for all of it: what is sent meanwhile waits in the kernel.
type body struct {
	io.ReadCloser
	guard   *Guard
	conn    *conn
	context context.Context //nolint:containedctx // of the request, which a Read can't be given
	length  int64           // -1 if it isn't known
	begun   bool
	whole   bool
}

// Read implements [io.Reader]. It returns [ErrCrowded] once the caller was cut.
func (b *body) Read(p []byte) (int, error) {
	if !b.begun {
		b.begun = true
		b.guard.enter(b.conn, stepReceiving)
		if !b.guard.hasRoom(b.context, b.conn, b.conn.head+b.size(), patience) {
			return 0, ErrCrowded
		}
	}
	n, err := b.ReadCloser.Read(p)
	if b.conn.cut.Load() && !b.whole {
		return 0, ErrCrowded
	}
	if err != nil && !b.whole { // also at the end of the body, which comes with its last bytes
		b.whole = true
		b.guard.enter(b.conn, stepAnswering)
	}
	return n, err
}

// size is what the body will take at most: no handler reads more than maxBody.
func (b *body) size() int64 {
	if b.length < 0 || b.length > maxBody {
		return maxBody
	}
	return b.length
}
