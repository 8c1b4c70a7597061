package swapfile

import (
	"strconv"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/fault"
	"github.com/6FaNcY9/mkimage/builder/swaparea"
)

// Size returns how large a swapfile is to be, in bytes of whole pages, by
// config.Swapfile.Size, and where the number comes from. 0 means that it stays
// as it is.
func Size(text string, ram func() (int64, string, error)) (size int64, source string, err error) {
	if text == "none" {
		return 0, "", nil
	}
	digits, source := text, "as the layout says"
	if text == "ram" {
		digits = "ram+0"
	}
	digits, withRAM := strings.CutPrefix(digits, "ram+")
	if size, err = strconv.ParseInt(digits, 10, 64); err != nil || size < 0 || size > swaparea.MaxSize {
		return 0, "", fault.New(fault.Config, "", "size %q: expected none, a number of bytes, ram or ram+BYTES", text)
	}
	if withRAM {
		n, from, err := ram()
		if err != nil {
			return 0, "", err
		}
		size, source = size+n, "RAM by "+from
	}
	size = (size + swaparea.PageSize - 1) / swaparea.PageSize * swaparea.PageSize
	if size < swaparea.MinSize || size > swaparea.MaxSize {
		return 0, "", fault.New(fault.Config, "", "size %q: %d bytes, expected %d to %d", text, size, swaparea.MinSize, int64(swaparea.MaxSize))
	}
	return size, source, nil
}
