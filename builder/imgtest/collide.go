package imgtest

import "hash/crc32"

// Colliding returns n different names that begin with prefix and have the same
// CRC-32C register, and so the same key offset in a btrfs directory or xattr
// list. A name is prefix, eight hexadecimal digits of its number and the four
// bytes that steer the register; numbers whose four bytes could not stand in a
// name (a slash or a NUL) are passed over. Most names are not valid UTF-8.
func Colliding(prefix string, n int) []string {
	const target = 0x1badb002
	names := make([]string, 0, n)
	for i := uint32(0); len(names) < n; i++ {
		stem := prefix + hex8(i)
		tail := steer(crcRegister(stem), target)
		if !validInName(tail) {
			continue
		}
		names = append(names, stem+string(tail[:]))
	}
	return names
}

func hex8(v uint32) string {
	const digits = "0123456789abcdef"
	var b [8]byte
	for i := range b {
		b[i] = digits[v>>(28-4*i)&15]
	}
	return string(b[:])
}

func validInName(b [4]byte) bool {
	for _, c := range b {
		if c == 0 || c == '/' {
			return false
		}
	}
	return true
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// crcRegister is the register that btrfs uses as a name's hash: it starts from
// 0xfffffffe and is not inverted at the end.
func crcRegister(name string) uint32 {
	return ^crc32.Update(^uint32(0xfffffffe), castagnoli, []byte(name))
}

// steer returns the four bytes that take the register from one value to
// another. A CRC step is r = table[byte(r)^b] ^ r>>8 and the top bytes of the
// table's entries are all different, so going backwards from the end gives the
// table indices, and going forwards from the start then gives the bytes.
func steer(from, to uint32) (out [4]byte) {
	var index [4]byte
	for i := 3; i >= 0; i-- {
		for j, v := range castagnoli {
			if v>>24 == to>>24 {
				index[i] = byte(j)
				to = (to ^ v) << 8
				break
			}
		}
	}
	for i, j := range index {
		out[i] = byte(from) ^ j
		from = castagnoli[j] ^ from>>8
	}
	return out
}
