package decrypt

import (
	"bytes"
	"slices"

	"github.com/6FaNcY9/mkimage/builder/secrets"
	"github.com/6FaNcY9/mkimage/installer/agekey"
	"github.com/6FaNcY9/mkimage/installer/durable"
	"github.com/6FaNcY9/mkimage/installer/firstboot"
)

// Value decrypts one secret of a configuration and puts it nowhere; its user wipes it.
// No symlink leads out of the system below root. Every error is a *firstboot.Problem.
func Value(root string, c *firstboot.Config, k *agekey.Key, name string) ([]byte, error) {
	i := slices.IndexFunc(c.Secrets, func(s firstboot.Secret) bool { return s.Name == name })
	if i < 0 {
		return nil, problem("name one of the profile", "secret %s: the system has none of this name", name)
	}
	s := c.Secrets[i]
	data, err := durable.Read(durable.OS(root), s.File, secrets.MaxFile+1)
	if err != nil {
		return nil, located(s, err)
	}
	plain, err := secrets.Decrypt(data, secrets.Format(s.Format), k.Identities())
	if err != nil {
		return nil, located(s, firstboot.Located(s.File, err))
	}
	value, err := plain.Value(s.Key)
	if err != nil {
		return nil, located(s, firstboot.Located(s.File, err))
	}
	return bytes.Clone(value), nil
}
