package pgdev

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

// maxSocketDir leaves room for "/.s.PGSQL.65535" in the 103 bytes that macOS allows (Linux: 107).
const maxSocketDir = 103 - len("/.s.PGSQL.65535")

// socketDir creates the folder of the server's socket. Only the account may enter it, which
// replaces a password. It is in the data folder, unless that path is too long for a socket.
func (c *cluster) socketDir() (string, error) {
	dir := c.path(socketName)
	if len(dir) > maxSocketDir {
		dir = fallbackSocketDir(c.dir)
	}
	err := os.Mkdir(dir, 0o700)
	if err == nil {
		return dir, c.acct.own(dir)
	}
	if !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("create socket folder: %w", err)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return "", fmt.Errorf("check socket folder: %w", err)
	}
	if !info.IsDir() || ownerOf(info) != c.acct.uid || info.Mode().Perm() != 0o700 {
		return "", fmt.Errorf("socket folder %s isn't a folder that only %s can enter: remove it", dir, c.acct.name)
	}
	// A killed server leaves its socket and the socket's pid file. Another process may have that id
	// by now.
	for _, stale := range []string{".s.PGSQL." + strconv.Itoa(socketPort), ".s.PGSQL." + strconv.Itoa(socketPort) + ".lock"} {
		if err := os.Remove(filepath.Join(dir, stale)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("clear socket folder: %w", err)
		}
	}
	return dir, nil
}

func fallbackSocketDir(dataDir string) string {
	return filepath.Join("/tmp", "rolecall-socket-"+strconv.Itoa(os.Geteuid())+"-"+shortDigest(dataDir))
}
