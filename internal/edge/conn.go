package edge

import (
	"bytes"
	"container/list"
	"context"
	"errors"
	"net"
	"os"
	"sync/atomic"
	"time"
)

// step is what a connection is doing.
type step int

const (
	stepWaiting   step = iota // for a request, or for the rest of its head
	stepReceiving             // a body
	stepAnswering             // everything is here
	stepSending               // a part of the answer, which the caller has to take
	stepFinishing             // the answer is written, and the rest of the body thrown away
)

const (
	// bytesPerLine is what net/http makes of a line of a head beside its text: an entry of a map, and a slice.
	bytesPerLine = 160
	// textFactor is for the text of a head, which is read into one buffer and kept in another.
	textFactor = 2
	// lastWords is how long a caller that was cut may take to hear of it. The answer fits into the kernel's buffer.
	lastWords = time.Second
)

// conn is one caller.
type conn struct {
	net.Conn
	guard *Guard
	cut   atomic.Bool
	last  atomic.Int64 // of a caller that was cut, when the last of its answer must be out, in Unix nanoseconds

	// heading says that what is read is of a head. While it is set, only the goroutine that serves the connection reads,
	// and the two counts are its own.
	heading   atomic.Bool
	headBytes int64
	headLines int64
	head      int64 // what the head of the request took that is being answered

	// Of the guard, under its lock.
	place     *list.Element // among the callers; nil once it is cut or closed
	step      step
	since     time.Time // when the step began; of a body, when its request did
	waiter    *waiter   // nil unless it waits for room
	holding   *list.Element
	granted   int64     // bytes
	grantedAt time.Time // when the room grew, or when the answer began to go out
	sending   bool      // a part of the answer went out
}

// Read implements [net.Conn]. Lines of a head are handed on once there is room for what net/http makes of them: some short
// lines in one packet would become twenty times as much.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if !c.heading.Load() || n == 0 {
		return n, err
	}
	head := p[:n]
	if end := bytes.Index(head, []byte("\r\n\r\n")); end >= 0 { // what follows is of a body
		head = head[:end]
	}
	c.headBytes += int64(len(head))
	c.headLines += int64(bytes.Count(head, []byte{'\n'}))
	if !c.guard.hasRoom(context.Background(), c, c.headCost(), patience) {
		return 0, os.ErrDeadlineExceeded // net/http then closes the connection without an answer
	}
	return n, err
}

// headCost is what the head of the request takes, as far as it is here.
func (c *conn) headCost() int64 { return c.headBytes*textFactor + c.headLines*bytesPerLine }

// Write implements [net.Conn]. Meanwhile it is the caller that is waited for.
func (c *conn) Write(p []byte) (int, error) {
	c.guard.sends(c)
	defer c.guard.sent(c)
	return c.Conn.Write(p)
}

// SetReadDeadline implements [net.Conn]. A connection that was cut stays cut.
func (c *conn) SetReadDeadline(t time.Time) error {
	err := c.Conn.SetReadDeadline(t)
	if c.cut.Load() {
		return c.Conn.SetReadDeadline(past())
	}
	return err
}

// SetWriteDeadline implements [net.Conn].
func (c *conn) SetWriteDeadline(t time.Time) error {
	err := c.Conn.SetWriteDeadline(t)
	if c.cut.Load() {
		return c.Conn.SetWriteDeadline(time.Unix(0, c.last.Load()))
	}
	return err
}

// SetDeadline implements [net.Conn].
func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// Close implements [net.Conn].
func (c *conn) Close() error {
	c.guard.forget(c)
	return c.Conn.Close()
}

// end wakes the goroutine that reads or writes. A caller whose request isn't whole may still be told why.
func (c *conn) end(told bool) {
	last := past()
	if told {
		last = time.Now().Add(lastWords)
	}
	c.last.Store(last.UnixNano())
	c.cut.Store(true)
	_ = errors.Join(c.Conn.SetReadDeadline(past()), c.Conn.SetWriteDeadline(last)) // an error means that it is closed
}

func past() time.Time { return time.Unix(1, 0) }
