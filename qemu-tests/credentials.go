package qemutests

import (
	_ "embed"
	"encoding/base64"
)

//go:embed agent.sh
var agentScript string

//go:embed agent.service
var agentUnit string

// agentWants makes sysinit.target, which every boot passes, pull the agent in.
const agentWants = "[Unit]\nWants=mkimage-test.service\n"

// agentSystemd is the first version of systemd that makes units of
// credentials (systemd-debug-generator(8), systemd.system-credentials(7)).
const agentSystemd = 256

// Credential returns the SMBIOS string of type 11 that hands a system
// credential to systemd, which takes it from /sys/firmware/dmi/entries.
func Credential(name, content string) string {
	return "io.systemd.credential.binary:" + name + "=" + base64.StdEncoding.EncodeToString([]byte(content))
}

// agentCredentials put the test agent into a guest.
func agentCredentials() []string {
	return []string{
		Credential("mkimage.agent", agentScript),
		Credential("systemd.extra-unit.mkimage-test.service", agentUnit),
		Credential("systemd.unit-dropin.sysinit.target", agentWants),
	}
}
