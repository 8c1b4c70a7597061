// Package qemutests runs images in QEMU and checks what their profiles
// promise. It is the harness of the black-box tests in this folder and of
// `mkimage run` and `mkimage test`.
//
// A VM is started from a Config and watched over three channels: QMP for
// control, the serial console for what the guest prints, and a virtio-serial
// port for the test agent, which systemd credentials put into a guest whose
// image is not touched. Waiting is always for an event, a line of output or an
// answer, under the deadline of a context; nothing sleeps.
//
// It does not build images, does not set up networks between machines, and
// knows only x86-64.
//
// Environment: MKIMAGE_ACCEL (tcg or kvm) skips the probe for KVM.
package qemutests
