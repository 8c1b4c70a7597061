package adjust

import (
	"github.com/6FaNcY9/mkimage/profiles"
)

// autologinUser returns the user who is logged in on the console, or "".
func autologinUser(p *profiles.Profile) string {
	for _, u := range p.Users {
		if u.Autologin {
			return u.Name
		}
	}
	return ""
}

// consoles logs a user in on the first virtual terminal and the first serial
// port, by drop-ins for the services that ask for a name there. The options
// besides --autologin are those of systemd's own units: a serial port keeps
// the speed that the kernel gave it.
func (e *editor) consoles() error {
	user := autologinUser(&e.plan.Profile)
	if user == "" {
		return nil
	}
	agetty := "/usr/sbin/agetty"
	if c := e.find(agetty); c == nil || !c.IsRegular() {
		agetty = "/usr/bin/agetty"
	}
	if c := e.find(agetty); c == nil || !c.IsRegular() {
		e.Add("users", "%s: autologin needs agetty, which the source does not have", user)
		return nil
	}
	for unit, options := range map[string]string{
		"getty@tty1.service":         "--noreset --noclear",
		"serial-getty@ttyS0.service": "--noreset --noclear --keep-baud 115200,57600,38400,9600",
	} {
		text := "[Service]\nExecStart=\nExecStart=-" + agetty + " --autologin " + user + " " + options + " - ${TERM}\n"
		if err := e.write(configDir+"/"+unit+".d/autologin.conf", text, 0o644); err != nil {
			return err
		}
	}
	return nil
}
