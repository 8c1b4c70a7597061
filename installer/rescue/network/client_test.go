package network

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4/nclient4"
)

// TestRenew: when a server is asked again, and when a lease is given up.
func TestRenew(t *testing.T) {
	silent := errors.New("no answer")
	lease := Lease{Time: time.Hour, Renew: 30 * time.Minute}
	for _, tt := range []struct {
		name    string
		lease   Lease
		answers []error
		asked   string // minutes after the lease
		err     string
	}{
		{"at once", lease, []error{nil}, "30", ""},
		{"later", lease, []error{silent, silent, nil}, "30 45 52.5", ""},
		{"never", lease, []error{silent, silent, silent, silent, silent, silent, silent, silent, silent}, "30 45 52.5 56.25 58.125 59.0625 59.5625", "the lease is over"},
		{"refused", lease, []error{silent, &nclient4.ErrNak{Offer: ack(t, "10.0.2.15"), Nak: ack(t, "10.0.2.15")}}, "30 45", "nak"},
		{"short", Lease{Time: time.Minute, Renew: 30 * time.Second}, []error{silent}, "0.5", "the lease is over"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began, asked := time.Now(), []string{}
				held := &nclient4.Lease{}
				c := &client{networks: &networks{Config: Config{Log: t.Logf}}, port: &port{name: "eth0"}}
				c.ask = func(_ context.Context, l *nclient4.Lease) (*nclient4.Lease, error) {
					if l != held {
						t.Error("asked for another lease")
					}
					asked = append(asked, fmt.Sprint(time.Since(began).Minutes()))
					return held, tt.answers[len(asked)-1]
				}
				_, err := c.renew(t.Context(), held, tt.lease)
				if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(strings.ToLower(err.Error()), tt.err)) {
					t.Errorf("error %v; want %q", err, tt.err)
				}
				if got := strings.Join(asked, " "); got != tt.asked {
					t.Errorf("asked after %s minutes; want %s", got, tt.asked)
				}
			})
		})
	}
}
