package bootspec

import "github.com/6FaNcY9/mkimage/builder/fault"

// maxCmdline is the longest kernel command line in bytes: COMMAND_LINE_SIZE of
// x86 and arm64 is 2048 and counts the NUL. The EFI stub cuts off what is more
// and says so where nobody reads it (efi_convert_cmdline in
// drivers/firmware/efi/libstub/efi-stub-helper.c).
const maxCmdline = 2048 - 1

// checkCmdline refuses a command line that the kernel would cut off. systemd-boot
// puts an initrd= for each archive in front (initrd_prepare in src/boot/boot.c of
// systemd), which has to fit too.
func checkCmdline(initrds []string, options string) error {
	length := len(options)
	for _, path := range initrds {
		length += len(`initrd=\`) + len(path) + len(" ")
	}
	if length > maxCmdline {
		return fault.New(fault.Input, "take something out of boot.kernelParams",
			"kernel command line of %d bytes, with the initrd= that systemd-boot adds, expected at most %d", length, maxCmdline)
	}
	return nil
}

// splitParams splits the text of kernel-params at its spaces, but for those in
// double quotes, as the kernel does. A quote that is not closed goes on to the
// end.
func splitParams(text string) []any {
	out := []any{}
	start, quoted := 0, false
	for i := 0; i <= len(text); i++ {
		if i < len(text) && text[i] == '"' {
			quoted = !quoted
		}
		if i < len(text) && (text[i] != ' ' || quoted) {
			continue
		}
		if start < i {
			out = append(out, text[start:i])
		}
		start = i + 1
	}
	return out
}
