# No firmware: no device of a virtual machine asks for any.
mkdir -p "$out/lib/firmware"
