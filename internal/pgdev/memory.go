package pgdev

import (
	"os"
	"syscall"
)

// memoryRoot is Linux' file system in memory; other systems have none with a fixed name.
const memoryRoot = "/dev/shm"

// MemoryDir returns a folder in memory for [Config].TempRoot: a cluster that needn't survive starts
// there in half the time. It returns "" if there is none, or if less than need bytes are free in
// it. Containers often get 64 MB, less than a cluster takes.
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
