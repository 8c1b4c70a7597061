package imgtest

import "os"

// Full reports whether the slow cases are wanted too: those that take minutes
// and seldom find what the others do not.
func Full() bool { return os.Getenv("MKIMAGE_FULL") == "1" }
