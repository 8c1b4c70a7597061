package verify

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/6FaNcY9/mkimage/builder/loader/bls"
	"github.com/6FaNcY9/mkimage/builder/loader/grubcfg"
	"github.com/6FaNcY9/mkimage/builder/loader/grubimage"
)

// checkGRUB checks GRUB's way to its configuration, and every entry. The configuration
// must be as mkimage writes it: nobody knows what another one starts.
func (v *run) checkGRUB(c *Check, program []byte) error {
	v.checkGRUBStub(c, program)
	conf, ok := readGRUB(v, c, grubcfg.ConfFile, grubcfg.Parse)
	if !ok {
		return nil
	}
	entries := conf.Entries
	if conf.Custom {
		custom, ok := readGRUB(v, c, grubcfg.CustomFile, grubcfg.ParseCustom)
		if !ok {
			return nil
		}
		entries = slices.Concat(entries, custom)
	}
	c.Subject = fmt.Sprintf("GRUB, %d entries", len(entries))
	var ids []string
	checked := map[string]*archive{} // entries share their files
	for _, e := range entries {
		if err := v.ctx.Err(); err != nil {
			return err
		}
		ids = append(ids, e.ID)
		v.checkStart(c, start{"ESP: /" + grubcfg.Dir + ", entry " + e.ID, e.Linux, e.Initrd, e.Files(), e.Options}, checked)
	}
	where := "ESP: /" + grubcfg.ConfFile
	if !slices.Contains(ids, conf.Default) {
		c.problem(where, "default %q is none of the entries", conf.Default)
	}
	for _, file := range v.wantedEntries() {
		if id := strings.TrimSuffix(file, ".conf"); !slices.Contains(ids, id) {
			c.problem(where, "has no entry %s, which the plan asks for", id)
		}
	}
	return nil
}

// checkGRUBStub wants GRUB to come from where it looks by itself to our configuration.
func (v *run) checkGRUBStub(c *Check, program []byte) {
	image, err := grubimage.Read(program)
	var name string
	if err == nil {
		name, err = image.ConfigPath()
	}
	if err != nil {
		c.problem("ESP: /"+bls.FallbackPath, "%v", err)
		return
	}
	if name == grubcfg.ConfFile {
		return
	}
	where := "ESP: /" + name
	text, err := v.esp.ReadAtMost(name, maxText)
	switch {
	case err != nil:
		c.problem(where, "%v", err)
	case !bytes.Equal(text, grubcfg.Stub()):
		c.problem(where, "does not lead to /%s as mkimage writes it", grubcfg.ConfFile)
	}
}

// readGRUB reads a file of the configuration.
func readGRUB[T any](v *run, c *Check, name string, parse func([]byte) (T, error)) (got T, ok bool) {
	text, err := v.esp.ReadAtMost(name, maxText)
	if err == nil {
		got, err = parse(text)
	}
	if err != nil {
		c.problem("ESP: /"+name, "%v", err)
	}
	return got, err == nil
}
