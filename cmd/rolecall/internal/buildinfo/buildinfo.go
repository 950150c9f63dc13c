// Package buildinfo says which build of Rolecall runs. The Go command stamps a build in a clone
// with the tag and the commit; `go install` of a module's version stamps that version.
package buildinfo

import (
	"runtime"
	"runtime/debug"
	"strings"
)

// version and revision are for builds without a history, such as those of an unpacked archive. The
// linker sets them by -X.
var version, revision string

// Info says which source and which Go made this binary. Its JSON is that of `rolecall version`.
type Info struct {
	// Version is a tag such as v1.2.3, or a pseudo-version of a commit without one. It ends with
	// +dirty if the source had changes that were in no commit. It is "devel" if it is unknown.
	Version string `json:"version"`
	// Revision is the commit's whole hash; "" if it is unknown.
	Revision string `json:"revision"`
	// CommittedAt is when the commit was made, in RFC 3339; "" if it is unknown.
	CommittedAt string `json:"committed_at"`
	// Dirty says whether the source had changes that were in no commit.
	Dirty bool `json:"dirty"`
	// Go is the version of Go, such as go1.26.0.
	Go string `json:"go"`
	// Platform is the operating system and the processor, such as linux/amd64.
	Platform string `json:"platform"`
}

// Read returns the running binary's build.
func Read() Info {
	module, _ := debug.ReadBuildInfo()
	return read(module, version, revision)
}

// read reads what the Go command stamped, which is nil in a binary of another build system. What
// the linker set counts before it.
func read(module *debug.BuildInfo, version, revision string) Info {
	info := Info{Version: version, Revision: revision, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if module == nil {
		module = &debug.BuildInfo{}
	}
	if info.Version == "" && module.Main.Version != "(devel)" {
		info.Version = module.Main.Version
	}
	for _, setting := range module.Settings {
		switch setting.Key {
		case "vcs.revision":
			if revision == "" {
				info.Revision = setting.Value
			}
		case "vcs.time":
			info.CommittedAt = setting.Value
		case "vcs.modified":
			info.Dirty = setting.Value == "true"
		}
	}
	if info.Version == "" {
		info.Version = "devel"
	}
	return info
}

// Date returns the day of the commit, such as 2026-09-30; "" if it is unknown.
func (i Info) Date() string {
	day, _, _ := strings.Cut(i.CommittedAt, "T")
	return day
}

// String returns the build as one line, such as
// "v1.2.3 (commit 0123456789ab, go1.26.0, linux/amd64)".
func (i Info) String() string {
	const short = 12 // hexadecimal digits, as in a pseudo-version
	var about []string
	if i.Revision != "" {
		about = append(about, "commit "+i.Revision[:min(len(i.Revision), short)])
	}
	if i.Dirty {
		about = append(about, "changed since")
	}
	return i.Version + " (" + strings.Join(append(about, i.Go, i.Platform), ", ") + ")"
}
