# take_modules copies the modules of these names, and all that they depend on, from one root to
# another, and makes the indices of what is there. A name has - and _ alike.
take_modules() {
	from=$1 to=$2
	shift 2
	release=$(ls "$from/lib/modules")
	src=$from/lib/modules/$release dst=$to/lib/modules/$release
	mkdir -p "$dst"
	awk -v names="$*" '
		BEGIN { n = split(names, list, " "); for (i = 1; i <= n; i++) wanted[list[i]] = 1 }
		{
			sub(":", "", $1)
			name = $1; sub(".*/", "", name); sub("[.]ko.*", "", name); gsub("-", "_", name)
			if (name in wanted) for (i = 1; i <= NF; i++) print $i
		}' "$src/modules.dep" | sort -u >taken
	while read -r file; do
		mkdir -p "$dst/$(dirname "$file")"
		cp "$src/$file" "$dst/$file"
	done <taken
	cp "$src/modules.order" "$src/modules.builtin" "$src/modules.builtin.modinfo" "$dst/"
	depmod -b "$(realpath "$to")" "$release"
}

# A root of btrfs. Checksums come before what asks for them while it is loaded.
root_modules="crc32c_generic crc32c_intel xxhash_generic blake2b_generic sha256_generic libcrc32c btrfs"

# The disks of QEMU.
disk_modules="virtio_pci virtio_blk virtio_scsi sd_mod sr_mod ahci nvme usb_storage uas xhci_pci ehci_pci"

# What systemd takes credentials from, at its start.
credential_modules="qemu_fw_cfg dmi_sysfs"

# What a running system needs besides.
system_modules="virtio_net virtio_console virtio_rng usbhid hid_generic i8042 atkbd evdev button
	vfat nls_cp437 nls_ascii nls_iso8859_1 nls_utf8 overlay efivarfs efi_pstore loop dm_mod fuse autofs4 configfs
	i6300esb rtc_cmos serio_raw squashfs erofs ext4"
