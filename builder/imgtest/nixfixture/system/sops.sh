install -D -m 755 "$sops" "$out/bin/sops"
