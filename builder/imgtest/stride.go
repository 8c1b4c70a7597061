package imgtest

import "os"

// Stride is the step in which a test goes through its many cases of one kind,
// such as each moment at which a build is killed: 1, or n where an ordinary user
// runs the tests beside a run as root (UnprivilegedEnv). It is for cases that a
// user has as root has them: that run has them all, and this one shows that a user
// may do what they do. An odd n reaches the cases that take turns in pairs.
func Stride(n int) int {
	if os.Getenv(UnprivilegedEnv) == "1" {
		return n
	}
	return 1
}
