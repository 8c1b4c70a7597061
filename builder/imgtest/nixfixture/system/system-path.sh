# All programs of the system, as links.
. "$scripts/subst.sh"
mkdir -p "$out/bin"
ln -s bin "$out/sbin"
for program in "$userland"/usr/bin/* "$userland"/usr/sbin/* "$decrypter"/bin/*; do
	ln -sf "$program" "$out/bin/"
done
subst "$scripts/second-generation.sh" "$out/bin/fixture-second"
