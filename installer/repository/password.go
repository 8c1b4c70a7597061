package repository

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"unicode/utf16"

	"golang.org/x/sys/unix"

	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

// Hold keeps a password in memory, as a file that this process alone has and
// restic reads. It returns the file's name, which is good until forget is
// called.
func Hold(password []byte) (name string, forget func(), err error) {
	fd, err := unix.MemfdCreate("password", unix.MFD_CLOEXEC)
	if err != nil {
		return "", nil, fmt.Errorf("memory for the password: %w", err)
	}
	f := os.NewFile(uintptr(fd), "password")
	if _, err := f.Write(password); err != nil {
		f.Close()
		return "", nil, fmt.Errorf("memory for the password: %w", err)
	}
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), fd), func() { f.Close() }, nil
}

// maxPassword bounds a file of a password, in bytes.
const maxPassword = 64 << 10

// readPassword reads a password as restic does.
func readPassword(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxPassword+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxPassword {
		return nil, firstboot.NewProblem(firstboot.CodePassword, "", "%s: has more than %d bytes", name, maxPassword)
	}
	return bytes.TrimSpace(decodeText(text)), nil
}

// decodeText returns a text as UTF-8, and without the mark that says what it is in:
// internal/textfile of restic.
func decodeText(text []byte) []byte {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(text, []byte("\xef\xbb\xbf")):
		return text[3:]
	case bytes.HasPrefix(text, []byte("\xfe\xff")):
		order = binary.BigEndian
	case bytes.HasPrefix(text, []byte("\xff\xfe")):
		order = binary.LittleEndian
	default:
		return text
	}
	var units []uint16
	for text = text[2:]; len(text) >= 2; text = text[2:] {
		units = append(units, order.Uint16(text))
	}
	return []byte(string(utf16.Decode(units)))
}
