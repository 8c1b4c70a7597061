# The package systemd has the parts of the userland that NixOS looks for in it.
mkdir -p "$out/lib" "$out/bin"
ln -s "$userland/usr/lib/systemd" "$out/lib/systemd"
for program in systemctl journalctl loginctl; do
	ln -s "$userland/usr/bin/$program" "$out/bin/$program"
done
