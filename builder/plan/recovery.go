package plan

import "github.com/6FaNcY9/mkimage/initramfs/config"

// ageKey returns what mkimage-init is told about the key of the secrets, nil
// when there are none. Whom the files of secrets were encrypted to is in these,
// which a plan does not read.
func ageKey(p *Plan, recipients []string) *config.AgeKey {
	if len(p.Profile.Secrets) == 0 {
		return nil
	}
	age := p.Profile.Age
	return &config.AgeKey{Recipients: recipients, Sources: age.Sources, Timeout: age.Timeout, Path: config.KeyPath, Image: p.ImageName()}
}

// ImageName is how the journal of a first boot names the image.
func (p *Plan) ImageName() string { return p.Profile.Name + " " + p.Seed.String() }
