package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/6FaNcY9/mkimage/builder/ids"
	"github.com/6FaNcY9/mkimage/builder/plan"
	"github.com/6FaNcY9/mkimage/profiles"
)

// planFlags are the flags that a plan depends on, besides the profile's name.
type planFlags struct {
	profileFlags
	size, seed, timestamp string
}

func (f *planFlags) define(cmd *cobra.Command) {
	f.profileFlags.define(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.source, "source", "", "take the root file system from `KIND:NAME` instead of the profile's source")
	flags.StringVar(&f.size, "size", "auto", "`bytes` of the disk, such as 8GiB; auto is as small as fits")
	flags.StringVar(&f.seed, "seed", "", "1 to 64 `hex` digits that all identities come from (default: a digest of profile and layout)")
	flags.StringVar(&f.timestamp, "timestamp", "", "`time` of all that is made, RFC 3339 or Unix seconds (default: SOURCE_DATE_EPOCH, or else "+
		plan.DefaultEpoch.Format("2006-01-02")+")")
}

// makePlan plans the image of the profile that a name asks for. The profile of
// the system in it, the payload of an installer, comes with it because a plan
// knows no folders of the host.
func (f *planFlags) makePlan(name string) (*plan.Plan, *profiles.Profile, error) {
	return f.makePlanLike(name, nil)
}

// makePlanLike plans an image that takes the place of an older one, or of none.
func (f *planFlags) makePlanLike(name string, older *plan.Plan) (*plan.Plan, *profiles.Profile, error) {
	o, err := f.options()
	if err != nil {
		return nil, nil, err
	}
	o.Like = older
	r, err := f.resolve(name)
	if err == nil {
		err = r.complete()
	}
	if err != nil {
		return nil, nil, err
	}
	asked := r.system()
	if r.payload == nil {
		p, err := plan.Make(asked.profile, asked.layout, o)
		return p, &asked.profile, err
	}
	p, err := plan.MakeMedium(r.profile, r.layout, asked.profile, asked.layout, o)
	return p, &asked.profile, err
}

// options returns what the flags say to a plan.
func (f *planFlags) options() (o plan.Options, err error) {
	if f.seed != "" {
		seed, err := ids.Parse(f.seed)
		if err != nil {
			return o, err
		}
		o.Seed = &seed
	}
	if f.size != "auto" {
		if o.Size, err = parseSize(f.size); err != nil {
			return o, err
		}
	}
	o.Epoch, err = parseTimestamp(f.timestamp, os.Getenv("SOURCE_DATE_EPOCH"))
	return o, err
}
