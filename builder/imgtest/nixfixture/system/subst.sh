# subst copies a script for the guest and puts the paths of store objects into it.
subst() {
	sed -e "s|@out@|$out|g" -e "s|@busybox@|$busybox|g" -e "s|@userland@|${userland:-}|g" \
		-e "s|@decrypter@|${decrypter:-}|g" -e "s|@secrets@|${secrets:-}|g" "$1" >"$2"
	chmod 555 "$2"
}
