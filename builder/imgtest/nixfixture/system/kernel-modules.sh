# The modules of the kernel and of other packages, of which there are none, with one index.
release=$(ls "$kernel/lib/modules")
dir=$out/lib/modules/$release
mkdir -p "$dir"
ln -s "$kernel/lib/modules/$release/kernel" "$dir/kernel"
cp "$kernel/lib/modules/$release"/modules.order "$kernel/lib/modules/$release"/modules.builtin* "$dir/"
depmod -b "$out" "$release"
