// Package rehearsal loses a machine and recovers it, in QEMU: the stick of an installer
// profile starts, a person's keys are typed into its rescue environment, and what comes
// back is compared with what was lost.
//
// The machine is a stand-in. Its system, layout and stick are built as the profile says;
// its secrets have the names, owners and places of the real ones, but values of their
// own, encrypted to a key that is made for one rehearsal; its home is made of every kind
// of file. So a rehearsal needs none of the real secrets, and has none of them to lose.
//
// Steps are a list and run one after the other. One that fails ends the rehearsal, unless
// it only looks; what was found is in a Report in any case.
//
// What it does not do: it builds no image and asks nobody, which is its caller's, and it
// knows nothing of real firmware.
package rehearsal
