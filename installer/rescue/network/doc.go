// Package network gets a machine onto the networks that are there, as long as it runs:
// wired ones by DHCP (RFC 2131) as soon as a cable is plugged in, and one wireless
// network by wpa_supplicant.
//
// It sets addresses, routes and resolv.conf. Addresses of IPv6 are the kernel's own
// doing; name servers of IPv6 are not asked for. Nothing here waits for a network, and
// nothing that fails ends it: what is the matter is in the lines that it hands out.
package network
