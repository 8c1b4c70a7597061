package boot

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/6FaNcY9/mkimage/initramfs/hibernate/record"
)

// at returns a place on a device; asleep one with a hibernated system.
func at(from, number string, offset int64) *spot {
	s := &spot{From: from, Path: "/dev/" + number, Number: number, Offset: offset}
	if from != "swapfile @swap/swapfile" {
		s.Problem = "no signature"
	}
	return s
}

func asleep(s *spot) *spot {
	s.Hibernated, s.Problem = true, ""
	return s
}

func TestDecide(t *testing.T) {
	swap := func() *spot { return at("swapfile @swap/swapfile", "254:2", 100) }
	line := func(offset int64) *spot { return at("command line", "254:2", offset) }
	efi := func(offset int64) *spot { return at("HibernateLocation", "254:2", offset) }
	tests := []struct {
		name string
		in   findings
		want decision
	}{
		{"nothing named", findings{}, decision{}},
		{"nothing named, noresume", findings{NoResume: true}, decision{}},
		{"swapfile awake", findings{Swapfile: swap()}, decision{}},
		{"swapfile awake, noresume", findings{Swapfile: swap(), NoResume: true}, decision{}},
		{"swapfile awake, kernel cannot", findings{Swapfile: swap(), Unable: "no"}, decision{}},
		{"swapfile asleep", findings{Swapfile: asleep(swap())}, decision{Resume: asleep(swap())}},
		{"all agree", findings{Swapfile: asleep(swap()), Cmdline: asleep(line(100)), EFI: asleep(efi(100))}, decision{Resume: asleep(swap())}},
		{"same kernel", findings{Swapfile: asleep(swap()), Kernel: "6.12", ImageKernel: "6.12"}, decision{Resume: asleep(swap())}},
		{"other kernel", findings{Swapfile: asleep(swap()), Kernel: "6.12", ImageKernel: "6.1"},
			decision{Resume: asleep(swap()), Warnings: []string{"kernel 6.1 hibernated, this is 6.12"}}},
		{"noresume", findings{Swapfile: asleep(swap()), NoResume: true, Kernel: "6.12", ImageKernel: "6.1"},
			decision{Drop: []spot{*asleep(swap())}, Warnings: []string{"the hibernated system is given up: noresume is on the command line"}}},
		{"factory", findings{Swapfile: asleep(swap()), Factory: true},
			decision{Drop: []spot{*asleep(swap())}, Warnings: []string{"the hibernated system is given up: mkimage.factory is on the command line"}}},
		{"after a shell", findings{Swapfile: asleep(swap()), Shell: true},
			decision{Drop: []spot{*asleep(swap())}, Warnings: []string{"the hibernated system is given up: a shell ran before, and may have changed the disk"}}},
		{"kernel cannot", findings{Swapfile: asleep(swap()), Unable: "locked down"},
			decision{Drop: []spot{*asleep(swap())}, Warnings: []string{"the hibernated system is given up: locked down"}}},
		{"disk moved", findings{Swapfile: asleep(swap()), Note: &record.Record{Disk: "pci-1-virtio"}, Disk: "pci-2-nvme"},
			decision{Drop: []spot{*asleep(swap())}, Warnings: []string{
				"the hibernated system is given up: its disk was at pci-1-virtio and is at pci-2-nvme now, where it would not find it"}}},
		{"disk where it was", findings{Swapfile: asleep(swap()), Note: &record.Record{Disk: "pci-1"}, Disk: "pci-1"}, decision{Resume: asleep(swap())}},
		{"disk at an unknown place", findings{Swapfile: asleep(swap()), Note: &record.Record{Disk: "pci-1"}}, decision{Resume: asleep(swap())}},
		{"disk from an unknown place", findings{Swapfile: asleep(swap()), Note: &record.Record{}, Disk: "pci-1"}, decision{Resume: asleep(swap())}},
		{"disk moved, and another system asleep", findings{Swapfile: swap(), Cmdline: asleep(line(7)), Note: &record.Record{Disk: "pci-1"}, Disk: "pci-2"},
			decision{Resume: asleep(line(7)), Warnings: []string{
				"command line offset 7 on /dev/254:2: is not where the swapfile is: swapfile @swap/swapfile offset 100 on /dev/254:2"}}},
		{"asleep and not there", findings{Swapfile: swap(), Note: &record.Record{}}, decision{Warnings: []string{lost}}},
		{"wrong offset on the command line", findings{Swapfile: asleep(swap()), Cmdline: line(7)},
			decision{Resume: asleep(swap()), Warnings: []string{
				"command line offset 7 on /dev/254:2: nothing to resume there; what counts is swapfile @swap/swapfile offset 100 on /dev/254:2"}}},
		{"wrong offset, nothing asleep", findings{Swapfile: swap(), Cmdline: line(7)},
			decision{Warnings: []string{
				"command line offset 7 on /dev/254:2: nothing to resume there; what counts is swapfile @swap/swapfile offset 100 on /dev/254:2"}}},
		{"right offset, nothing asleep", findings{Swapfile: swap(), Cmdline: line(100)}, decision{}},
		{"asleep where the command line says", findings{Swapfile: swap(), Cmdline: asleep(line(7))},
			decision{Resume: asleep(line(7)), Warnings: []string{
				"command line offset 7 on /dev/254:2: is not where the swapfile is: swapfile @swap/swapfile offset 100 on /dev/254:2"}}},
		{"command line alone", findings{Cmdline: asleep(at("command line", "8:3", 0))}, decision{Resume: asleep(at("command line", "8:3", 0))}},
		{"command line alone, awake", findings{Cmdline: line(7)},
			decision{Warnings: []string{"command line offset 7 on /dev/254:2: nothing to resume there: no signature"}}},
		{"one offset on two devices", findings{Swapfile: swap(), Cmdline: asleep(at("command line", "8:3", 100))},
			decision{Resume: asleep(at("command line", "8:3", 100)), Warnings: []string{
				"command line offset 100 on /dev/8:3: is not where the swapfile is: swapfile @swap/swapfile offset 100 on /dev/254:2"}}},
		{"two asleep", findings{Swapfile: asleep(swap()), Cmdline: asleep(line(7))},
			decision{Drop: []spot{*asleep(swap()), *asleep(line(7))}, Warnings: []string{
				"command line offset 7 on /dev/254:2: is not where the swapfile is: swapfile @swap/swapfile offset 100 on /dev/254:2",
				"the hibernated system is given up: there are two, and one of them is stale: " +
					"swapfile @swap/swapfile offset 100 on /dev/254:2; command line offset 7 on /dev/254:2"}}},
		{"no swapfile, asleep where the firmware says", findings{SwapfileProblem: "swapfile: gone", EFI: asleep(efi(9))},
			decision{Resume: asleep(efi(9)), Warnings: []string{"swapfile: gone"}}},
		{"firmware disagrees", findings{Swapfile: asleep(swap()), EFI: efi(9)},
			decision{Resume: asleep(swap()), Warnings: []string{
				"HibernateLocation offset 9 on /dev/254:2: nothing to resume there; what counts is swapfile @swap/swapfile offset 100 on /dev/254:2"}}},
		{"problems", findings{SwapfileProblem: "a", CmdlineProblem: "b", EFIProblem: "c"}, decision{Warnings: []string{"a", "b", "c"}}},
		{"damaged header", findings{Swapfile: &spot{From: "swapfile x", Path: "/dev/a", Offset: 5, Problem: "version 7"}},
			decision{Warnings: []string{"swapfile x offset 5 on /dev/a: version 7"}}},
		{"damaged header, asleep", findings{Swapfile: &spot{From: "swapfile x", Path: "/dev/a", Offset: 5, Hibernated: true, Problem: "version 7"}},
			decision{Resume: &spot{From: "swapfile x", Path: "/dev/a", Offset: 5, Hibernated: true, Problem: "version 7"},
				Warnings: []string{"swapfile x offset 5 on /dev/a: version 7"}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, decide(test.in)); diff != "" {
				t.Errorf("decide (-want +got):\n%s", diff)
			}
		})
	}
}
