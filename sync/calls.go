package sync

import "time"

// ClerkWindow is the time over which Clerk counts an instance's calls (clerk.com, "Rate limits").
const ClerkWindow = 10 * time.Second

// CallDemand is what a client of Clerk's API tells the other clients of the instance, and how many
// calls it asks for. Ages and other durations are as of when it was made.
type CallDemand struct {
	Client int64       // a number of its own
	Turn   int64       // higher than that of the client's demand before
	Window float64     // seconds over which Clerk counts calls
	Sent   []SentCalls // within one window
	Held   int64       // calls that were leased before, and not sent yet
	Lasts  float64     // seconds for which leased calls may be sent
	Paused []float64   // seconds for which Clerk asked calls to pause, by purpose; those of this client that it didn't tell yet

	// Purpose is the reason for the calls, the index in Paused. Background calls and look-ups of
	// strangers have a rate besides.
	Purpose int
	Least   int64 // the fewest calls that are of use; 0 if none are wanted
	Want    int64
	Most    int64 // all clients together may have so many within a window

	Background, Strangers, Charged CallRate
}

// SentCalls are calls that were sent at one time.
type SentCalls struct {
	Age   float64 // seconds
	Calls int64
}

// CallRate is how many calls of a sort all clients together may send: PerSecond on average, and
// Burst at once.
type CallRate struct{ PerSecond, Burst float64 }

// CallLease is the answer to a [CallDemand].
type CallLease struct {
	Granted int64           // calls that the client may send
	Wait    time.Duration   // if none was granted: after which it may ask again
	Used    int64           // calls of all clients, sent or leased, that count now; without the granted ones
	Paused  []time.Duration // for which calls still pause, by purpose
}
