package auth

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestEntries_FindALockout(t *testing.T) {
	t.Parallel()
	clock := &testClock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	e := NewEntries(clock.Now)
	is := func(want bool, why string) {
		t.Helper()
		_, found := e.Lockout()
		require.Equal(t, want, found, why)
	}
	refuse := func(reason Reason, tokens ...string) {
		for _, token := range tokens {
			e.refuse(reason, "", token)
		}
	}
	for range 10 {
		refuse(ReasonExpired, "the same")
	}
	is(false, "one client repeats its old token")
	refuse(ReasonIssuer, "a", "a", "a", "a")
	is(true, "four more, and no user was ever admitted")
	e.admit()
	is(false, "a user was admitted")
	refuse(ReasonIssuer, "a", "a", "a", "a", "a", "a")
	is(false, "a user has just been admitted")
	clock.advance(lockoutQuiet)
	is(true, "and since then no user")
	clock.advance(lockoutKept)
	is(false, "users have stopped trying")
	for i := range lockoutAfter {
		refuse(ReasonExpired, strconv.Itoa(i))
	}
	is(true, "tokens of many are expired: the clock is ahead")
	for i := range 60 {
		clock.advance(time.Minute)
		refuse(ReasonExpired, "a later one "+strconv.Itoa(i))
	}
	is(true, "the lockout lasts as long as users try")
	clock.advance(lockoutKept)
	refuse(ReasonExpired, "0")
	is(false, "one client repeats its old token, and no other user tries")
}
