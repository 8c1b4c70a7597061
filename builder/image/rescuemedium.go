package image

import (
	"context"

	"github.com/6FaNcY9/mkimage/builder"
	"github.com/6FaNcY9/mkimage/builder/esp"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/builder/source"
	"github.com/6FaNcY9/mkimage/docs"
)

// RecoveryPath is where the ESP of a medium has the paper that is printed and kept with it,
// for whoever has the stick and another machine, and nothing else.
const RecoveryPath = "RECOVERY.txt"

// recoverySheet returns that paper.
func recoverySheet() []byte { return docs.Recovery }

// findSystem finds in the source the kernel that a medium starts which only brings back. The
// tree stays as it is: nothing of it is written but what the archives take, so that how it
// would mount its disk does not matter. The initramfs is made for the system itself, and
// is the one that it has.
func (b *build) findSystem(context.Context) (err error) {
	b.report(builder.StageScan, 0, 0)
	if b.system, err = source.SystemOf(b.in.Tree, b.plan.Epoch); err != nil {
		return err
	}
	b.system.Kernels, b.system.Generations = b.system.Kernels[:min(1, len(b.system.Kernels))], nil
	if b.host, err = plan.Target(b.plan, b.plan.Seed, 0); err != nil {
		return err
	}
	b.in.Tree.Freeze()
	return nil
}

// spareESP is the room in bytes that an ESP has whose size follows from what it holds: for
// a key, for the report of a rescue, for a newer sheet.
const spareESP = 64 << 20

// leastESP is the least size in bytes of an ESP, as a layout has it.
const leastESP = 64 << 20

// sizeESP decides the size of the ESP: as planned, or what the tree needs, with the
// manifest that comes later and with room.
func (b *build) sizeESP() error {
	if b.espSize = b.plan.Partition(plan.RoleESP).Size; b.espSize > 0 {
		return nil
	}
	b.espSize = leastESP
	for {
		need, err := esp.Need(b.esp, b.espParams())
		if err != nil {
			return err
		}
		capacity, err := esp.Capacity(b.espParams())
		if err != nil {
			return err
		}
		missing := need + manifestReserve + spareESP - capacity
		if missing <= 0 {
			return nil
		}
		// Larger tables, and clusters that grow with the size, take some of what is added.
		b.espSize += (missing + plan.Alignment - 1) / plan.Alignment * plan.Alignment
	}
}
