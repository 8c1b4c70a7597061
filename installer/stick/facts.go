package stick

import (
	"time"

	"github.com/6FaNcY9/mkimage/builder/manifest"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/installer/rescue/inventory"
)

// Stick is what a medium holds.
type Stick struct {
	Plan    *plan.Plan // of the medium
	Mkimage string     // version that built it
	Kernel  string     // release of the kernel that it starts
	// Problems is how many are found when all of it is read; -1 when it was not read.
	Problems int64
	First    string // the first of these problems
	// Unreadable is why the rescue environment cannot be read, "" where it can.
	Unreadable string
	Signed     bool   // its manifest has a signature
	BadSign    string // why the signature is not good, "" where it is or where nobody checked it
	// Recipients are public keys, any of which opens all secrets; nil where it has none.
	Recipients []string
	Secrets    map[string]Secret // by the names of their files
	Restic     string            // version of restic, "" where it is not known
}

// Secret is a file of secrets as sops encrypted it.
type Secret struct {
	SHA256     manifest.SHA256
	Recipients []string // sorted
}

// Machine is what the running machine is, and its profile. What is not known is the zero
// value, and in Unknown is why.
type Machine struct {
	Now     time.Time
	Mkimage string            // version of the mkimage that checks
	Restic  string            // version of the restic that it would put onto a medium
	Kernel  string            // release that runs
	Memory  int64             // bytes of RAM that are built in
	Key     []string          // public keys of the machine's key; nil where it is not known
	Plan    *plan.Plan        // of the profile as it is now
	Secrets map[string]Secret // of the profile as it is now
	System  *inventory.System // nil where the disks were not read, or have no such system
	Backups []inventory.Backup
	Unknown map[Kind]string
}

// unknown returns a note about what could not be looked at, or nothing.
func (m *Machine) unknown(k Kind, what, do string) []Finding {
	why, is := m.Unknown[k]
	if !is {
		return nil
	}
	return []Finding{{Kind: k, Severity: Note, What: what + " not looked at: " + why, Do: do}}
}
