# The test agent of mkimage, run by systemd in a guest whose image has none of
# it. A line in: a number and a script in base64. A line out: the number, the
# exit status, and stdout and stderr in base64, each after a letter, since
# either may be empty.
PATH=/run/current-system/sw/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH LC_ALL=C
dir=/run/mkimage-test
mkdir -p "$dir" && chmod 700 "$dir" || exit 1
exec 3<>/dev/virtio-ports/mkimage.test || exit 1
echo "hello $(cat /proc/sys/kernel/random/boot_id)" >&3
while read -r number script <&3; do
	printf %s "$script" | base64 -d >"$dir/script"
	/bin/sh "$dir/script" >"$dir/out" 2>"$dir/err" </dev/null 3>&-
	status=$?
	printf '%s %s o%s e%s\n' "$number" "$status" "$(base64 -w0 "$dir/out")" "$(base64 -w0 "$dir/err")" >&3
done
