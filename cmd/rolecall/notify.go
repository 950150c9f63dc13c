package main

import (
	"context"
	"log/slog"
	"net"
	"os"
	"strconv"
	"time"
)

// notifySupervisor sends a state to the supervisor that asked for it, as systemd does with
// Type=notify. Without such a supervisor it does nothing.
func notifySupervisor(ctx context.Context, logger *slog.Logger, state string) {
	socket := os.Getenv("NOTIFY_SOCKET")
	if socket == "" {
		return
	}
	connection, err := new(net.Dialer).DialContext(ctx, "unixgram", socket) // one with @ is abstract
	if err == nil {
		_, err = connection.Write([]byte(state))
		_ = connection.Close()
	}
	if err != nil {
		logger.WarnContext(ctx, "the supervisor isn't told", "state", state, "error", err)
	}
}

// stateReady says that the process has bound its addresses and runs.
const stateReady = "READY=1"

// stateStopping says that the process stops, and how long the supervisor must wait for its end.
func stateStopping(within time.Duration) string {
	return "STOPPING=1\nEXTEND_TIMEOUT_USEC=" + strconv.FormatInt(within.Microseconds(), 10)
}
