package narinfo

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/nix"
)

// CacheInfo is what the file nix-cache-info says about a cache as a whole.
type CacheInfo struct {
	StoreDir      string // nix.StoreDir
	Priority      int    // caches of smaller numbers are asked first; 0 when it is not said
	WantMassQuery bool   // whether it likes to be asked for many paths
}

// hintCacheInfo goes with every nix-cache-info that cannot be read.
const hintCacheInfo = "expected a binary cache of Nix for " + nix.StoreDir + ": check nix.substituters"

// ParseCacheInfo reads the file nix-cache-info; the name is for errors only,
// which are of class fault.Input. Keys that are not known are passed over, and
// white space around a value is not part of it, as in
// libstore/binary-cache-store.cc of Nix. The default of Priority is that of Nix
// 2.4 and later; before, it was 50. Unlike there, the line StoreDir is needed: it
// is what tells the file from a page about an error.
func ParseCacheInfo(name string, data []byte) (*CacheInfo, error) {
	info := &CacheInfo{}
	if len(data) > MaxSize {
		return nil, fault.New(fault.Input, hintCacheInfo, "%s: %d bytes or more, expected at most %d", name, len(data), MaxSize)
	}
	if n := bytes.IndexByte(data, 0); n >= 0 {
		return nil, fault.New(fault.Input, hintCacheInfo, "%s: NUL in byte %d, expected text", name, n)
	}
	seen := map[string]int{}
	for n, line := range strings.Split(string(data), "\n") {
		key, value, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		first := seen[key]
		known, err := info.set(key, strings.TrimSpace(value))
		if err == nil && known && first > 0 {
			err = fmt.Errorf("again, the first is in line %d", first)
		}
		if err != nil {
			return nil, fault.New(fault.Input, hintCacheInfo, "%s: line %d: %s: %w", name, n+1, key, err)
		}
		seen[key] = n + 1
	}
	if info.StoreDir == "" {
		return nil, fault.New(fault.Input, hintCacheInfo, "%s: no line StoreDir, expected StoreDir: %s", name, nix.StoreDir)
	}
	return info, nil
}

// set sets the field of key and reports whether there is one.
func (c *CacheInfo) set(key, value string) (known bool, err error) {
	switch key {
	case "StoreDir":
		if value != nix.StoreDir {
			return true, fmt.Errorf("%.300q, expected %s", value, nix.StoreDir)
		}
		c.StoreDir = value
	case "Priority":
		n, err := strconv.ParseInt(value, 10, 32)
		if err != nil {
			return true, fmt.Errorf("%.300q, expected a number", value)
		}
		c.Priority = int(n)
	case "WantMassQuery":
		c.WantMassQuery = value == "1"
	default:
		return false, nil
	}
	return true, nil
}
