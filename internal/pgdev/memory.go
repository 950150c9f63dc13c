package pgdev

import (
	"os"
	"syscall"
)

// memoryRoot is the file system in memory that Linux has; other systems have none by a fixed name.
const memoryRoot = "/dev/shm"

// MemoryDir is a folder in memory for [Config].TempRoot, where a cluster that needn't survive starts in half the time. It is
// empty where there is none, or less than need bytes are free in it: containers often get 64 MB, less than a cluster takes.
func MemoryDir(need uint64) string {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(memoryRoot, &stat); err != nil || stat.Bavail*uint64(stat.Bsize) < need {
		return ""
	}
	probe, err := os.CreateTemp(memoryRoot, "rolecall-probe-")
	if err != nil {
		return ""
	}
	_ = probe.Close()
	_ = os.Remove(probe.Name())
	return memoryRoot
}
