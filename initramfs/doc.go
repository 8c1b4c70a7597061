// Package initramfs makes the archive that the kernel unpacks and starts: our
// PID 1, the kernel modules that it loads, what those need, and a rescue shell.
//
// The archive is up to three segments, as the kernel takes them one behind the
// other (Documentation/driver-api/early-userspace/buffer-format.rst):
//
//	microcode   cpio, not compressed, which the kernel reads before all else
//	main        cpio, one frame of zstd: /init, /etc/mkimage, modules, firmware
//	shell       cpio, one frame of zstd: /bin, compressed when mkimage was built
//
// A prelude is an archive that stands beside the initrd of a system itself: it has what
// main has, in a directory of its own, and starts that system's /init when it has done
// what a first boot needs.
//
// Everything is decided on the host: modules.dep, modules.softdep and
// modules.alias of the source are resolved here, as modprobe would, and modules
// are stored decompressed in a compressed archive. The source's own programs
// are not run. Equal inputs give equal bytes on every host.
//
// What it does not do: it never looks at the host's own hardware or modules,
// it takes no part of a modprobe.d, and it leaves out modules.weakdep, which
// modprobe does not load either.
package initramfs
