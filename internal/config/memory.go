package config

import (
	"os"
	"strconv"
	"strings"
)

// cgroupLimits are the files in which a control group states its memory limit,
// of version 2 and of version 1.
var cgroupLimits = []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}

// MemoryHere is limits.memory, or what stands for it when the key is absent:
// DefaultMemory, or 80 % of the control group's limit where that is less.
func (l *Limits) MemoryHere() Size {
	if l.Memory != 0 {
		return l.Memory
	}
	return defaultMemory(cgroupLimits)
}

func defaultMemory(files []string) Size {
	out := DefaultMemory
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		limit, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
		if err == nil && limit > 0 && limit/5*4 < uint64(out) {
			out = Size(limit / 5 * 4)
		}
	}
	return out
}
