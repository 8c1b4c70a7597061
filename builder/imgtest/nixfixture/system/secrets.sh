#!@busybox@/bin/sh
# Does what sops-nix does: decrypts into a file system in memory, each time anew.
export PATH=@busybox@/bin
umask 0022
key=/var/lib/sops-nix/key.txt dir=/run/secrets.d
if [ ! -f $key ]; then
	echo "setting up secrets: no $key"
	exit 0
fi
if ! grep -q " $dir " /proc/mounts; then
	mkdir -p $dir
	mount -t tmpfs -o mode=0751,nosuid,nodev secrets $dir
fi
rm -rf $dir/1
mkdir -m 0751 $dir/1
for name in $(grep -o '^[a-z-]*: ENC' @secrets@ | cut -d: -f1); do
	(umask 0377; SOPS_AGE_KEY_FILE=$key @decrypter@/bin/sops --decrypt --extract "[\"$name\"]" @secrets@ >$dir/1/$name) ||
		echo "setting up secrets: $name failed"
done
ln -sfn $dir/1 /run/secrets
