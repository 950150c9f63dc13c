package pgdev

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// KeepData makes [Server.Stop] keep the data of a temporary server. It returns the folder to which
// the data is moved: on disk, where no sweep removes it. It returns the same folder each time. For
// a server whose data stays anyway, it is the data folder. A given server has no data to keep,
// which is an error.
func (s *Server) KeepData(ctx context.Context) (dir string, err error) {
	if s.given != "" {
		return "", errors.New("keep data: the server was given, its data isn't ours")
	}
	if !s.cluster.temporary {
		return s.cluster.dir, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keptDir != "" {
		return s.keptDir, nil
	}
	root, err := tempRoot(ctx, "", s.cluster.acct)
	if err != nil {
		return "", fmt.Errorf("keep data: %w", err)
	}
	if s.keptDir, err = os.MkdirTemp(root, keptPrefix); err != nil {
		return "", fmt.Errorf("keep data: %w", err)
	}
	return s.keptDir, nil
}

// OpenCommand is a shell command for people that starts a server on the data of [Server.KeepData]
// and opens the database in psql, once this server has stopped. It is empty for a given server.
func (s *Server) OpenCommand(ctx context.Context, database string) (string, error) {
	if s.given != "" {
		return "", nil
	}
	dir, err := s.KeepData(ctx)
	if err != nil {
		return "", err
	}
	socket := filepath.Join(dir, socketName)
	if len(socket) > maxSocketDir {
		socket = s.process.socketDir
	}
	start := fmt.Sprintf(`%s -D %s -l %s -o %s -w start`,
		quote(s.process.inst.pgCtl()), quote(filepath.Join(dir, pgdataName)), quote(filepath.Join(dir, "server.log")),
		quote("-k "+socket+" -c listen_addresses="))
	if s.cluster.acct.credential != nil {
		as := "sudo -u "
		if runtime.GOOS == "linux" {
			as = "runuser -u " // there in every container, as sudo is not
		}
		start = as + s.cluster.acct.name + " -- " + start
	}
	psql := filepath.Join(s.process.inst.binDir, "psql")
	if _, err := os.Stat(psql); err != nil {
		psql = "psql"
	}
	return fmt.Sprintf("cd / && %s && %s %s", start, quote(psql), quote(socketURL(socket, socketPort, database))), nil
}

// quote quotes a word for a POSIX shell.
func quote(word string) string {
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
