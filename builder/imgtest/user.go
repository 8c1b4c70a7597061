package imgtest

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// nobody is the user of AsAnotherUser.
const nobody = 65534

// AsAnotherUser runs f with the rights that another user, of no group of files here, has to
// files. It needs root, and holds for what f itself does, not for goroutines that it starts.
func AsAnotherUser(t testing.TB, f func()) {
	t.Helper()
	NeedRoot(t)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for _, set := range []func(int) (int, error){unix.SetfsgidRetGid, unix.SetfsuidRetUid} {
		old, err := set(nobody)
		if err != nil {
			t.Fatal(err)
		}
		defer set(old)
	}
	f()
}
