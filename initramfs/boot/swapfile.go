package boot

import (
	"errors"
	"fmt"
	"os"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/initramfs/swapfile"
)

// enlarge puts a swapfile of the size that is asked for in the place of the one
// that is there.
func (f *firstBoot) enlarge() error {
	want, source, err := swapfile.Size(f.swapfile.Size, f.ram)
	if err != nil || want == 0 {
		return err
	}
	made, err := swapfile.Replace(swapfile.Request{Top: f.dir, Path: f.swapfile.Path, Size: want, Open: func() (swapfile.Device, func() error, error) {
		d, err := f.open(os.O_RDONLY)
		if err != nil {
			return nil, nil, err
		}
		return d, d.Close, nil
	}})
	if full := (*swapfile.TooLarge)(nil); errors.As(err, &full) {
		return fault.New(fault.Target, "", "no room for %s (%s): %s are free, %s must stay so; it keeps its %s",
			formatSize(want), source, formatSize(full.Free), formatSize(full.Keep), formatSize(full.Had))
	}
	if err != nil {
		return err
	}
	if made.File == nil {
		f.log(levelInfo, "swapfile %s has %s already", f.swapfile.Path, formatSize(made.Had))
		return nil
	}
	pieces := "one piece"
	if made.File.Fragments != 1 {
		pieces = fmt.Sprintf("%d pieces", made.File.Fragments)
	}
	f.log(levelInfo, "swapfile %s enlarged from %s to %s (%s), in %s", f.swapfile.Path, formatSize(made.Had), formatSize(want), source, pieces)
	return nil
}
