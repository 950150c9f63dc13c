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
	stepAnswering             // the request has arrived
	stepSending               // a part of the answer, which the caller must read
	stepFinishing             // the answer is written, and the rest of the body discarded
)

const (
	// bytesPerLine is what net/http allocates for a line of a head beside its text: an entry of a
	// map, and a slice.
	bytesPerLine = 160
	// textFactor counts the text of a head twice: it is read into one buffer and kept in another.
	textFactor = 2
	// lastWords is how long sending a 503 to a caller that was cut may take. The answer fits into
	// the kernel's buffer.
	lastWords = time.Second
)

// conn is one caller.
type conn struct {
	net.Conn
	guard *Guard
	cut   atomic.Bool
	last  atomic.Int64 // Unix nanoseconds: when the answer to a caller that was cut must be sent

	// heading says that the bytes being read are of a head. While it is set, only the goroutine
	// that serves the connection reads, and only that goroutine uses the two counts.
	heading   atomic.Bool
	headBytes int64
	headLines int64
	head      int64 // bytes that the current request's head takes

	// The guard's, under its lock.
	place     *list.Element // among the callers; nil once it is cut or closed
	step      step
	since     time.Time // when the step began; of stepReceiving, when the request did
	waiter    *waiter   // nil unless it waits for room
	holding   *list.Element
	granted   int64     // bytes
	grantedAt time.Time // when the room grew, or when the answer began to go out
	sending   bool      // a part of the answer went out
}

// Read implements [net.Conn]. It passes on lines of a head once there is room for what net/http
// makes of them. Short lines may grow to twenty times their size.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if !c.heading.Load() || n == 0 {
		return n, err
	}
	head := p[:n]
	if end := bytes.Index(head, []byte("\r\n\r\n")); end >= 0 { // the rest is body
		head = head[:end]
	}
	c.headBytes += int64(len(head))
	c.headLines += int64(bytes.Count(head, []byte{'\n'}))
	if !c.guard.hasRoom(context.Background(), c, c.headCost(), patience) {
		return 0, os.ErrDeadlineExceeded // net/http then closes the connection without an answer
	}
	return n, err
}

// headCost returns how many bytes the arrived part of the head takes.
func (c *conn) headCost() int64 { return c.headBytes*textFactor + c.headLines*bytesPerLine }

// Write implements [net.Conn]. While it runs, the caller keeps the service waiting.
func (c *conn) Write(p []byte) (int, error) {
	c.guard.sends(c)
	defer c.guard.sent(c)
	return c.Conn.Write(p)
}

// SetReadDeadline implements [net.Conn]. It doesn't revive a connection that was cut.
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

// end wakes the goroutine that reads or writes. If told is set, the caller may still get a 503.
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
