# A static program in a package of its own.
install -D -m 755 "$program" "$out/bin/$programName"
