#!@busybox@/bin/sh
# Makes the running system that of this toplevel. As NixOS's, it goes on after errors.
systemConfig=@out@
export PATH=@busybox@/bin
umask 0022

# Debian's binaries want their places. NixOS has /bin/sh and /usr/bin/env alone.
usrbin() {
	for dir in usr bin sbin lib lib64; do
		if [ -d /$dir ] && [ ! -L /$dir ]; then rm -rf /$dir; fi
		ln -sfn @userland@/$dir /$dir
	done
}

# The static files are links into the store, by way of /etc/static.
etc() {
	mkdir -p /etc
	ln -sfn $systemConfig/etc /etc/static
	for file in $systemConfig/etc/*; do
		name=${file##*/}
		[ -L "/etc/$name" ] || rm -rf "/etc/$name"
		ln -sfn "static/$name" "/etc/$name"
	done
	: >>/etc/NIXOS
	@userland@/usr/sbin/ldconfig 2>/dev/null
}

users() {
	[ ! -e /etc/passwd ] || return 0
	cp @userland@/etc/passwd @userland@/etc/group @userland@/etc/shadow /etc/
	echo 'ada:x:1000:1000::/home/ada:/bin/sh' >>/etc/passwd
	printf 'ada:x:1000:\nnixbld:x:30000:\n' >>/etc/group
	echo 'ada:*:::::::' >>/etc/shadow
	chmod 644 /etc/passwd /etc/group
	chmod 600 /etc/shadow
}

dirs() {
	mkdir -p /var/log /var/lib /var/tmp /root /home /run/lock
	chmod 1777 /var/tmp
	chmod 700 /root
	ln -sfn /run /var/run
}

gcroots() {
	ln -sfn "$systemConfig" /run/current-system
	mkdir -p /nix/var/nix/gcroots
	ln -sfn /run/current-system /nix/var/nix/gcroots/current-system
	ln -sfn /run/booted-system /nix/var/nix/gcroots/booted-system
}

usrbin
etc
users
dirs
$systemConfig/fixture-secrets
gcroots
