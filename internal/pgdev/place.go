package pgdev

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

const (
	// tempPrefix marks the folders that sweep may remove once their owner is dead.
	tempPrefix = "rolecall-pg-"
	// keptPrefix must not begin with tempPrefix: a sweep never removes data that was kept for
	// people.
	keptPrefix = "rolecall-kept-"
	// rootDataDir takes the place of a data folder that the account which runs Postgres can't
	// enter, such as one below /root.
	rootDataDir = "/var/lib/rolecall"
)

// DefaultDataDir returns the folder of a database that outlives its server, below the user's cache
// folder. It holds nothing else: the fetched binaries have a folder beside it.
func DefaultDataDir() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find a folder for the database: %w", err)
	}
	return filepath.Join(cache, "rolecall", "postgres"), nil
}

// place is where a cluster goes, before anything is locked or created in it.
type place struct {
	dir       string
	temporary bool
	note      string // why it isn't where it was asked for; empty if it is
}

// choosePlace creates the folder, empty if it is new, and makes sure that the account can work in
// it.
func choosePlace(ctx context.Context, cfg *Config, acct account) (place, error) {
	if cfg.DataDir == "" {
		root, err := tempRoot(ctx, cfg.TempRoot, acct)
		if err != nil {
			return place{}, err
		}
		sweep(root, acct)
		dir, err := os.MkdirTemp(root, tempPrefix)
		if err != nil {
			return place{}, fmt.Errorf("create temporary data folder: %w", err)
		}
		return place{dir: dir, temporary: true}, acct.own(dir)
	}

	dir, err := filepath.Abs(cfg.DataDir)
	if err != nil {
		return place{}, fmt.Errorf("resolve data folder: %w", err)
	}
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return place{}, fmt.Errorf("create parent of the data folder: %w", err)
	}
	p := place{dir: dir}
	if !acct.canEnter(ctx, parent) {
		if err := ctx.Err(); err != nil { // it wasn't found out
			return place{}, err
		}
		// Named after the folder asked for, so that the next start finds the same data again.
		p.dir = filepath.Join(rootDataDir, filepath.Base(dir)+"-"+shortDigest(dir))
		p.note = fmt.Sprintf("instead of %s, which %s can't enter", dir, acct.name)
		if err := os.MkdirAll(rootDataDir, 0o755); err != nil {
			return place{}, fmt.Errorf("create data folder for %s: %w", acct.name, err)
		}
		if !acct.canEnter(ctx, rootDataDir) {
			return place{}, fmt.Errorf("neither %s nor %s can be entered by %s, who runs Postgres: choose another data folder",
				parent, rootDataDir, acct.name)
		}
	}
	return p, prepareDataDir(p.dir, acct)
}

// prepareDataDir creates the folder, or checks that it may be handed over: a mistake in a path must
// not give a home folder away.
func prepareDataDir(dir string, acct account) error {
	err := os.Mkdir(dir, 0o700)
	if errors.Is(err, os.ErrExist) {
		entries, readErr := os.ReadDir(dir)
		if readErr != nil {
			return fmt.Errorf("read data folder: %w", readErr)
		}
		if len(entries) == 0 {
			return acct.own(dir)
		}
		if _, statErr := os.Lstat(filepath.Join(dir, ownerLockName)); statErr != nil {
			return fmt.Errorf("data folder %s is neither empty nor made by pgdev: choose another or empty it", dir)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("create data folder: %w", err)
	}
	return acct.own(dir)
}

// tempRoot is the first folder for temporary data that the account can enter.
func tempRoot(ctx context.Context, wanted string, acct account) (string, error) {
	candidates := []string{wanted, os.TempDir(), "/tmp", "/var/tmp"}
	for _, dir := range candidates {
		if dir == "" {
			continue
		}
		abs, err := filepath.Abs(dir)
		if err != nil {
			continue
		}
		if info, err := os.Stat(abs); err == nil && info.IsDir() && acct.canEnter(ctx, abs) {
			return abs, nil
		}
	}
	return "", fmt.Errorf("find a folder for temporary data that %s can enter: none of %q will do", acct.name, candidates)
}

// shortDigest tells folders apart where their whole paths would be too long for a name.
func shortDigest(path string) string {
	digest := sha256.Sum256([]byte(path))
	return hex.EncodeToString(digest[:4])
}
