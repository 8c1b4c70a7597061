package keephome

import "github.com/6FaNcY9/mkimage/initramfs/config"

// Kept is something that a reinstallation keeps of the old system. What the new
// one has in its place is removed.
type Kept struct {
	Path  string // absolute in the running system
	Names string // a pattern of path.Match: of what is directly in Path; "" is Path as a whole
	Why   string // for people
}

// Defaults are kept in any case, where they are there. Passwords and groups of
// users are not: they are of the new system.
var Defaults = []Kept{
	{config.KeyPath, "", "the key of the secrets, without which none opens"},
	{"/etc/machine-id", "", "the identity of the machine: its journals, leases and backups are by this name"},
	{"/etc/ssh", "ssh_host_*", "what others know the machine by; they would be warned of an attack"},
	{"/etc/NetworkManager/system-connections", "", "networks and their passwords"},
	{"/var/lib/NetworkManager", "", "the secret that addresses and MAC addresses come from, and which networks were seen"},
	{"/var/lib/iwd", "", "networks and their passwords, where iwd has them"},
	{"/var/lib/bluetooth", "", "paired devices: a keyboard works at the first login"},
	{"/var/lib/fprint", "", "fingers that were enrolled"},
	{"/var/lib/nixos", "*-map", "the numbers of users and groups on NixOS: files in /home are owned by them"},
}
