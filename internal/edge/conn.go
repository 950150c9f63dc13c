package edge

import (
	"bytes"
	"container/list"
	"context"
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
	stepFinishing             // the answer is written, and the rest of the body thrown away
)

const (
	// bytesPerLine is what net/http makes of a line of a head beside its text: an entry of a map, and a slice.
	bytesPerLine = 160
	// textFactor is for the text of a head, which is read into one buffer and kept in another.
	textFactor = 2
)

// conn is one caller.
type conn struct {
	net.Conn
	guard *Guard
	cut   atomic.Bool

	// heading says that what is read is of a head. While it is set, only the goroutine that serves the connection reads,
	// and the two counts are its own.
	heading   atomic.Bool
	headBytes int64
	headLines int64
	head      int64 // what the head of the request took that is being answered

	// Of the guard, under its lock.
	place     *list.Element // among the callers; nil once it is cut or closed
	step      step
	since     time.Time // when the step began; of a body, when the request did
	waiter    *waiter   // nil unless it waits for room
	holding   *list.Element
	granted   int64 // bytes
	grantedAt time.Time
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

// SetReadDeadline implements [net.Conn]. A connection that was cut stays cut.
func (c *conn) SetReadDeadline(t time.Time) error {
	err := c.Conn.SetReadDeadline(t)
	if c.cut.Load() {
		return c.Conn.SetReadDeadline(past())
	}
	return err
}

// SetDeadline implements [net.Conn].
func (c *conn) SetDeadline(t time.Time) error {
	err := c.Conn.SetDeadline(t)
	if c.cut.Load() {
		return c.Conn.SetReadDeadline(past())
	}
	return err
}

// Close implements [net.Conn].
func (c *conn) Close() error {
	c.guard.forget(c)
	return c.Conn.Close()
}

// end wakes whoever reads from the connection. What is being answered is ended altogether.
func (c *conn) end(answering bool) {
	c.cut.Store(true)
	if answering {
		_ = c.Conn.SetDeadline(past()) // an error means that it is closed
		return
	}
	_ = c.Conn.SetReadDeadline(past())
}

func past() time.Time { return time.Unix(1, 0) }
