package demo

import (
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestGreeting_SaysWhichUsualPortIsTaken, and nothing of one that was asked for.
func TestGreeting_SaysWhichUsualPortIsTaken(t *testing.T) {
	t.Parallel()
	d := &Demo{
		Playground: "http://" + usualPlayground, Admin: "http://127.0.0.1:1", Rolecall: "http://127.0.0.1:2", Clerk: "http://127.0.0.1:3",
		DatabaseURL: "postgres://u:opensesame@localhost/app",
	}
	var out strings.Builder
	require.NoError(t, d.greet(Options{Listen: anyAddress}, &out))
	text := out.String()
	require.True(t, strings.HasPrefix(text, "Open        http://127.0.0.1:7655   Ctrl-C ends everything.\n"), text)
	require.Contains(t, text, "\nConsole     http://127.0.0.1:1 (9090 is taken)\n")
	require.Contains(t, text, "\nAPI         http://127.0.0.1:2\n")
	require.Contains(t, text, "\nClerk       http://127.0.0.1:3 (8081 is taken), ")
	require.NotContains(t, text, "opensesame", "a given database's URL may hold a password")
}

// TestGreeting_OfOnesOwnClerkSaysWhichPortIsTaken, as the other one does.
func TestGreeting_OfOnesOwnClerkSaysWhichPortIsTaken(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	require.NoError(t, (&Own{Admin: "http://127.0.0.1:1", Rolecall: "http://127.0.0.1:2"}).greet(OwnOptions{Listen: anyAddress}, &out))
	require.Contains(t, out.String(), "Console     http://127.0.0.1:1 (9090 is taken)   ")
	require.Contains(t, out.String(), "API         http://127.0.0.1:2   ")
}

// TestAddresses_TakenUsualOnesGiveWay, and asked ones don't.
func TestAddresses_TakenUsualOnesGiveWay(t *testing.T) {
	t.Parallel()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", anyAddress)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, listener.Close()) })
	taken := listener.Addr().String()
	address, err := freeAddress(t.Context(), "--listen", "", taken)
	require.NoError(t, err)
	require.Equal(t, anyAddress, address)
	_, err = freeAddress(t.Context(), "--listen", taken, usualListen)
	require.ErrorContains(t, err, "address already in use: choose another address with --listen")
	_, err = freeAddress(t.Context(), "--listen", "nowhere", usualListen)
	require.ErrorContains(t, err, "--listen")
}

// TestAddresses_AreChosenAgainIfAnotherTakesThemMeanwhile, as another dev may that starts at the
// same time.
func TestAddresses_AreChosenAgainIfAnotherTakesThemMeanwhile(t *testing.T) {
	t.Parallel()
	listen := func(address string) (net.Listener, error) {
		return (&net.ListenConfig{}).Listen(t.Context(), "tcp", address)
	}
	usual, err := listen(anyAddress)
	require.NoError(t, err)
	free := usual.Addr().String()
	require.NoError(t, usual.Close())
	var other net.Listener
	tried := []string{}
	require.NoError(t, atFreeAddress(t.Context(), "--listen", "", free, func(address string) error {
		if tried = append(tried, address); other == nil {
			other, err = listen(address)
			require.NoError(t, err)
		}
		mine, err := listen(address)
		if err == nil {
			err = mine.Close()
		}
		return err
	}))
	require.Equal(t, []string{free, anyAddress}, tried)
	require.NoError(t, other.Close())
}

// TestPlayground_StaysOnThisMachine, since its people have no passwords.
func TestPlayground_StaysOnThisMachine(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"", "127.0.0.1:0", "localhost:7655", "[::1]:7655"} {
		require.NoError(t, Options{Playground: address}.refuseOpen(t.Context()), address)
	}
	for _, address := range []string{":7655", "0.0.0.0:7655", "[::]:7655", "192.0.2.1:7655"} {
		require.ErrorContains(t, Options{Playground: address}.refuseOpen(t.Context()), "is open to other machines", address)
	}
	for _, address := range []string{"7655", "nowhere.invalid:1"} {
		require.ErrorContains(t, Options{Playground: address}.refuseOpen(t.Context()), "write an address such as 127.0.0.1:7655", address)
	}
}
