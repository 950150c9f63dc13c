package pgdev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	embeddedpostgres "github.com/fergusstrange/embedded-postgres"
)

// fetchVersion is fetched where nothing is installed: the major version that the tests and
// benchmarks run on.
const fetchVersion = embeddedpostgres.V15

// fetchRepository is where embedded-postgres' binaries are published.
const fetchRepository = "https://repo1.maven.org/maven2"

// fetcher brings Postgres binaries to a cache folder, once.
type fetcher struct {
	logger   *slog.Logger
	cacheDir string                              // empty: chosen by cache
	download func(cacheDir, target string) error // leaves bin/ and lib/ in target
}

// fetch returns the folder with the binaries. Concurrent callers, also in other processes, fetch
// once. When ctx ends, fetch returns. A download under way goes on until its connection ends,
// because its library takes no context.
func (f *fetcher) fetch(ctx context.Context, acct account) (string, error) {
	cache, err := f.cache(acct)
	if err != nil {
		return "", err
	}
	target := filepath.Join(cache, "postgresql-"+string(fetchVersion))
	binDir := filepath.Join(target, "bin")
	lock, err := awaitLock(ctx, filepath.Join(cache, "fetch.lock"))
	if err != nil {
		return "", fmt.Errorf("wait for another fetch in %s: %w", cache, err)
	}
	if _, err := os.Stat(binDir); err == nil {
		return binDir, lock.release()
	}

	f.logger.InfoContext(ctx, "no PostgreSQL installed, fetching one", "version", string(fetchVersion), "folder", target)
	done := make(chan error, 1)
	go func() {
		// This goroutine releases the lock: a caller that gave up must not admit a second download.
		done <- errors.Join(f.fill(cache, target), lock.release())
	}()
	select {
	case <-ctx.Done():
		return "", fmt.Errorf("fetch PostgreSQL %s: %w", fetchVersion, ctx.Err())
	case err := <-done:
		if err != nil {
			return "", fmt.Errorf("fetch PostgreSQL %s into %s: %w", fetchVersion, cache, err)
		}
		return binDir, nil
	}
}

// fill downloads beside the target and renames, so that an interrupted download never looks like an
// installation.
func (f *fetcher) fill(cache, target string) error {
	partial := target + ".partial"
	if err := os.RemoveAll(partial); err != nil {
		return fmt.Errorf("remove an earlier attempt: %w", err)
	}
	if err := f.download(cache, partial); err != nil {
		return err
	}
	if err := os.Rename(partial, target); err != nil {
		return fmt.Errorf("put the binaries in place: %w", err)
	}
	return nil
}

// cache is the user's cache folder. For root it is a public one, since the account that runs
// Postgres can't read root's.
func (f *fetcher) cache(acct account) (string, error) {
	dir := f.cacheDir
	if dir == "" {
		base := "/var/cache"
		if acct.credential == nil {
			var err error
			if base, err = os.UserCacheDir(); err != nil {
				return "", fmt.Errorf("find a cache folder for the binaries: %w", err)
			}
		}
		dir = filepath.Join(base, "rolecall", "postgres-binaries")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("create cache folder: %w", err)
	}
	return dir, nil
}

// downloadEmbedded makes embedded-postgres fetch, verify and extract, and nothing else. The library
// has no such function, and the rest of its Start can't work here: its initdb refuses root, and its
// server wouldn't end with its owner. An invalid encoding makes its initdb stop before it writes
// anything. The fetch has succeeded if the binaries exist then.
func downloadEmbedded(repository, cacheDir, target string) error {
	scratch, err := os.MkdirTemp(cacheDir, "scratch-")
	if err != nil {
		return fmt.Errorf("create scratch folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(scratch) }()

	server := embeddedpostgres.NewDatabase(embeddedpostgres.DefaultConfig().
		Version(fetchVersion).
		BinaryRepositoryURL(repository).
		CachePath(cacheDir).
		BinariesPath(target).
		RuntimePath(filepath.Join(scratch, "runtime")).
		DataPath(filepath.Join(scratch, "data")).
		Encoding("none-so-that-initdb-stops-here").
		Port(0).
		Logger(io.Discard))
	startErr := server.Start()
	if startErr == nil {
		return errors.Join(errors.New("embedded-postgres started a server where it should only have fetched one"), server.Stop())
	}
	inst := installation{binDir: filepath.Join(target, "bin")}
	for _, binary := range []string{inst.initdb(), inst.postgres()} {
		if _, err := os.Stat(binary); err != nil {
			return fmt.Errorf("from %s: %w", repository, startErr)
		}
	}
	return nil
}
