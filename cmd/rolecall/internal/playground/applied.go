package playground

import "time"

// Applied is what became of a webhook at Rolecall.
type Applied struct {
	MessageID  string
	State      string // as the ledger names it: received, applied, superseded, ignored or quarantined
	ReceivedAt time.Time
	AppliedAt  time.Time // when its end was decided; zero before
	Changes    []string  // what it changed, in words: the audit entries that it caused
}
