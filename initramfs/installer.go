package initramfs

import "github.com/6FaNcY9/mkimage/initramfs/config"

// Installer makes the archive that the kernel of an installer medium unpacks
// over that of the payload: the program mkimage-install and the public key of
// who signs the medium. Its bytes depend on these alone.
func Installer(program, key []byte) ([]byte, error) {
	c := newContents()
	c.addFile(config.InstallProgram[1:], 0o755, program)
	c.addFile(config.InstallKey[1:], 0o644, key)
	data, err := c.compressed()
	if err != nil {
		return nil, err
	}
	a := &Archive{}
	a.append("installer", data)
	return a.Data, nil
}
